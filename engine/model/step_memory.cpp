// Each term is the size of vectors that the named part keeps per row. Too low a bound would let a
// process be killed in the middle of an answer; one that is too high only makes it stream a little
// earlier.
#include "engine/model/step_memory.h"

#include <algorithm>

#include "engine/base/bytes.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

// Bytes of a value in rows that products read (ActivationRows): float32, and beside it quants with
// their scales and sums in blocks of 32 and of 256.
constexpr uint64_t kActivation = 4 + 2 + 2;
constexpr uint64_t kFloat = sizeof(float);
// Of a (row, expert) call: the call itself, its sorted copies and the jobs it may become.
constexpr uint64_t kCallBytes = 256;
// Partial results of attention over chunks of the context (attention.cpp: kBlockBytes), and what
// does not grow with the rows.
constexpr uint64_t kFixedBytes = 16 * kMiB;
constexpr uint64_t kThreadBytes = 1 * kMiB;  // tiles, scores, a stack as far as it is used

uint64_t mixer_row(const ModelConfig& config) {
  uint64_t queries = config.query_columns();
  uint64_t attended = config.attention_columns();
  uint64_t bytes = (4 * queries + config.key_columns() + config.value_columns()) * kFloat;
  bytes += attended * kActivation;
  if (const LatentConfig& latent = config.latent; latent.rank > 0) {
    uint64_t per_head = latent.plain_dimensions + latent.shared_dimensions;
    bytes += latent.query_rank * (kFloat + kActivation);
    bytes += config.heads * (per_head * kFloat + latent.plain_dimensions * kActivation);
    bytes += config.heads * uint64_t{latent.value_dimensions} * kActivation;
    bytes += (uint64_t{latent.rank} + latent.shared_dimensions) * kFloat;
  }
  if (const IndexerConfig& indexer = config.indexer; indexer.kind != IndexerKind::kNone) {
    // Queries, key and weights; a bit for each position and group of heads.
    bytes += (indexer.heads + 1) * (uint64_t{indexer.dimensions} + 1) * kFloat;
    uint64_t groups = indexer.kind == IndexerKind::kBlocks ? indexer.heads : 1;
    bytes += groups * config.trained_context / 8;
  }
  // Inputs, convolved values, outputs and gates of recurrent layers; what single kinds have beside.
  const RecurrentShape shape = config.recurrent_shape();
  bytes += 2 * uint64_t{shape.channels} * kFloat;
  bytes += uint64_t{shape.heads} * (shape.decays_per_head() + 3) * kFloat;
  bytes += shape.value_columns() * (3 * kFloat + kActivation);
  if (const CompressedConfig& compressed = config.compressed; compressed.query_rank > 0) {
    bytes += compressed.query_rank * (kFloat + kActivation);
    bytes += uint64_t{compressed.output_groups} * compressed.output_rank * kActivation;
    // Values and gates of two compressors, twice as wide where windows overlap; entries.
    bytes += 5 * (uint64_t{config.head_dim} + config.indexer.dimensions) * kFloat;
    bytes += (uint64_t{shape.kept} + shape.channels) * kFloat;
  }
  if (config.mamba.heads > 0) bytes += uint64_t{config.mamba.projected()} * kFloat;
  if (config.kimi.heads > 0) bytes += 5 * uint64_t{config.kimi.columns()} * kFloat;
  if (config.short_convolution > 0) bytes += config.hidden * (3 * kFloat + kActivation);
  return bytes;
}

uint64_t feed_forward_row(const ModelConfig& config) {
  uint64_t width = std::max(config.ffn_width, config.shared_width);
  return width * (2 * kFloat + kActivation) + config.hidden * kFloat;
}

// Inputs of all layers, and what becomes of the one at hand.
uint64_t per_layer_row(const ModelConfig& config) {
  if (config.per_layer_width == 0) return 0;
  uint64_t inputs = uint64_t{config.layers} * config.per_layer_width;
  return (2 * inputs + config.per_layer_width + config.hidden) * kFloat +
         config.hidden * kActivation;
}

// Probabilities, scores and logits of the router and of the prefetch; the calls; the sums, for the
// answer and for every thread; what latent experts read, their sum and what becomes of it.
uint64_t expert_row(const ModelConfig& config, uint32_t threads) {
  if (config.router.experts == 0) return 0;
  uint64_t bytes = 5 * uint64_t{config.router.experts} * kFloat;
  bytes += config.router.top_k * kCallBytes;
  bytes += uint64_t{config.expert_columns()} * (sizeof(int64_t) * threads + 2 * kActivation);
  bytes += config.hidden * kActivation;  // what the prefetch normalizes
  // Rows of their own that router and experts may read; the experts' part of what is added.
  if (config.router.input != RouterInput::kFeedForwardInput) bytes += config.hidden * kActivation;
  if (config.router.scales_input) bytes += config.hidden * kActivation;
  if (config.dense_beside_experts) bytes += config.hidden * (kActivation + kFloat);
  if (config.latent_width > 0) {
    bytes += uint64_t{config.latent_width} * (2 * kFloat + kActivation) + config.hidden * kFloat;
  }
  return bytes;
}

// Outputs of a chunk's runs in sparse attention, of which there are at most half as many as
// positions; scores of all positions.
uint64_t indexer_thread(const ModelConfig& config) {
  if (config.indexer.kind == IndexerKind::kEntries) {
    return 3 * uint64_t{config.trained_context} * kFloat;
  }
  if (config.indexer.kind == IndexerKind::kNone) return 0;
  uint64_t runs = kAttentionChunk / 2 * config.heads;
  return (runs * config.value_dim + 3 * uint64_t{config.trained_context}) * kFloat;
}

// A copied piece as keys and as values, and outputs of all pieces of a row, or as many as a thread
// keeps of several (entry_attention.cpp).
uint64_t entries_thread(const ModelConfig& config) {
  if (config.compressed.query_rank == 0) return 0;
  uint64_t most = 0;
  for (uint32_t ratio : config.compressed.ratios) {
    if (ratio > 0) most = std::max<uint64_t>(most, config.trained_context / ratio);
  }
  const uint64_t pieces = 3 + (most + config.sliding_window) / kAttentionChunk;
  const uint64_t outputs = pieces * config.query_columns() * kFloat;
  return 2 * kAttentionChunk * uint64_t{config.head_dim} * kFloat + outputs + 4 * kMiB;
}

}  // namespace

uint64_t step_memory(const ModelConfig& config, const StepSize& step) {
  // Residual, normed input, what was mixed in.
  uint64_t row = config.hidden * (2 * kFloat + kActivation) + config.rope.dimensions * kFloat;
  if (const uint32_t streams = config.hyper.streams; streams > 1) {
    // What parts read, twice: of a layer and of the prefetch, which looks into the next one.
    row += config.residual_columns() * (kFloat + 2 * kActivation) + 2 * config.hidden * kFloat;
    row += 2 * uint64_t{streams} * (streams + 2) * kFloat;
  }
  row += mixer_row(config) + feed_forward_row(config) + expert_row(config, step.threads);
  row += per_layer_row(config);
  uint64_t logits = uint64_t{std::min(step.logit_rows, step.rows)} * config.vocabulary * kFloat;
  uint64_t sampler = config.vocabulary * uint64_t{32};
  return row * step.rows + logits + sampler + kFixedBytes +
         step.threads * (kThreadBytes + indexer_thread(config) + entries_thread(config));
}

}  // namespace potluck
