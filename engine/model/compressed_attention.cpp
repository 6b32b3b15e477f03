// Attention over a window and compressed entries (DeepSeek V4, DeepSeek-AI, 2026). One KV head, of
// which keys are values, too; x is the layer's normed input, p the position:
//
//   r = norm(W x);  q = W r, per head norm without weight, rope(p)
//   k = norm(W x), rope(p): what the window keeps of a position
//   entries: those that a compressor makes of x (compressor.h), rope(their first position)
//   a = softmax of q . k over the window and entries, with sinks, times k   (entry_attention.h)
//   out = grouped output of a, rope(-p): values were turned as keys are     (grouped_output.h)
//
// Rope turns the last values of a head. Layers without entries have a rope of their own. Where a
// layer has an indexer, it has a compressor for its keys, and a row sees the best entries only
// (indexer.h). The window and open windows of compressors are recurrent state
// (recurrent_state.h), entries stand in the blocks of the KV cache.
#include <algorithm>
#include <numeric>

#include "engine/model/compressor.h"
#include "engine/model/entry_attention.h"
#include "engine/model/grouped_output.h"
#include "engine/model/indexer.h"
#include "engine/model/low_rank_queries.h"
#include "engine/model/recurrent_rows.h"

namespace potluck {
namespace {

class CompressedAttentionMixer final : public TokenMixer {
 public:
  CompressedAttentionMixer(const Model& model, const ComputeContext& compute)
      : model_(model),
        config_(model.config()),
        compute_(compute),
        entry_rope_(config_.rope, model.weights().rope_divisors),
        recurrent_(config_.recurrent_shape(), compute),
        entries_(config_, compute),
        index_keys_(config_, compute),
        indexer_(model, compute),
        attention_(config_, compute),
        output_(compute),
        low_rank_(compute) {}

  void input_forms(uint32_t layer, std::vector<ActivationForm>* forms) const override;
  void remember(uint32_t layer, const StepRows& rows, const ActivationRows& input) override;
  void move_row(uint32_t from, uint32_t to) override;
  void mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) override;

 private:
  const CompressedAttentionWeights& weights(uint32_t layer) const {
    return model_.weights().layers[layer].compressed;
  }
  void project_inputs(uint32_t layer, const ActivationRows& input, uint32_t rows);
  void project_queries(uint32_t layer, uint32_t rows);
  void finish_row(uint32_t layer, const StepRows& rows, uint32_t row);
  void compress(uint32_t layer, const StepRows& rows);
  void store_entry(uint32_t layer, const StepRows& rows, uint32_t row);
  void turn_entry(uint32_t position, uint32_t dimensions, float* entry) const;
  // Rope turns the last values.
  float* turned(float* head, uint32_t dimensions) const {
    return head + dimensions - config_.rope.dimensions;
  }
  float* query_row(uint32_t row) {
    return queries_.data() + uint64_t{row} * config_.query_columns();
  }

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  RopeFrequencies entry_rope_;
  RecurrentRows recurrent_;
  Compressor entries_;
  Compressor index_keys_;
  Indexer indexer_;
  EntryAttention attention_;
  GroupedOutput output_;
  LowRankQueries low_rank_;
  std::vector<float> queries_;      // [rows, heads * head_dim]
  std::vector<float> keys_;         // [rows, head_dim]
  std::vector<uint32_t> raw_rows_;  // [rows]: which of `recurrent_` it is
  std::vector<Product> products_;
};

void CompressedAttentionMixer::input_forms(uint32_t layer,
                                           std::vector<ActivationForm>* forms) const {
  const CompressedAttentionWeights& w = weights(layer);
  forms->push_back(w.query_down.form());
  forms->push_back(w.key.form());
  for (const CompressorWeights* compressor : {&w.entries, &w.index_keys}) {
    if (!compressor->empty()) Compressor::input_forms(*compressor, forms);
  }
  indexer_.input_forms(layer, forms);
}

// One job for all that reads the hidden state.
void CompressedAttentionMixer::project_inputs(uint32_t layer, const ActivationRows& input,
                                              uint32_t rows) {
  const CompressedAttentionWeights& w = weights(layer);
  products_.clear();
  products_.push_back(low_rank_.shrink(w.query_down, input, rows));
  products_.push_back(project(w.key, input, rows, keys_));
  if (!w.entries.empty()) entries_.project_rows(w.entries, input, rows, &products_);
  if (!w.index_keys.empty()) index_keys_.project_rows(w.index_keys, input, rows, &products_);
  run_products(compute_.threads, compute_.kernels, products_);
}

void CompressedAttentionMixer::project_queries(uint32_t layer, uint32_t rows) {
  const CompressedAttentionWeights& w = weights(layer);
  indexer_.query_forms(layer, &low_rank_.forms(w.query));
  low_rank_.run(w.query, w.query_down_norm, config_.norm_epsilon, rows, queries_);
}

void CompressedAttentionMixer::remember(uint32_t layer, const StepRows& rows,
                                        const ActivationRows& input) {
  project_inputs(layer, input, rows.count());
  project_queries(layer, rows.count());
  recurrent_.reset(rows.count());
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) { finish_row(layer, rows, row); });
  recurrent_.begin(layer, rows);
  compress(layer, rows);
  recurrent_.advance();
  raw_rows_.resize(rows.count());
  std::iota(raw_rows_.begin(), raw_rows_.end(), 0U);
  indexer_.run(layer, rows, input, low_rank_.compressed());
}

// Norms and turns a row's queries and its key.
void CompressedAttentionMixer::finish_row(uint32_t layer, const StepRows& rows, uint32_t row) {
  const uint32_t size = config_.head_dim;
  const LayerRope rope = config_.rope_of(layer);
  float* query = query_row(row);
  for (uint32_t head = 0; head < config_.heads; ++head, query += size) {
    compute_.kernels.rms_norm(query, nullptr, size, config_.norm_epsilon, query);
    rows.turn(rope, config_.rope.pairs, row, turned(query, size));
  }
  float* key = recurrent_.input(row);
  compute_.kernels.rms_norm(keys_.data() + uint64_t{row} * size, weights(layer).key_norm.data(),
                            size, config_.norm_epsilon, key);
  rows.turn(rope, config_.rope.pairs, row, turned(key, size));
}

// Entries that the step's rows complete go into the cache.
void CompressedAttentionMixer::compress(uint32_t layer, const StepRows& rows) {
  const CompressedAttentionWeights& w = weights(layer);
  if (w.entries.empty()) return;
  const uint32_t ratio = config_.compress_ratio(layer);
  const CompressorShape shape(config_.head_dim, ratio);
  entries_.advance(shape, w.entries, rows, recurrent_, 0);
  if (!w.index_keys.empty()) {
    const CompressorShape index_shape(config_.indexer.dimensions, ratio);
    index_keys_.advance(index_shape, w.index_keys, rows, recurrent_, shape.kept());
  }
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    if ((rows.rows[row].position + 1) % ratio == 0) store_entry(layer, rows, row);
  });
}

void CompressedAttentionMixer::store_entry(uint32_t layer, const StepRows& rows, uint32_t row) {
  const CompressedAttentionWeights& w = weights(layer);
  const uint32_t ratio = config_.compress_ratio(layer);
  const uint32_t index = rows.rows[row].position / ratio;
  const CompressorShape shape(config_.head_dim, ratio);
  float* entry = entries_.entry(shape, w.entries, row);
  turn_entry(index * ratio, shape.dimensions, entry);
  rows.caches[row]->put_entry(layer, index, entry);
  if (w.index_keys.empty()) return;
  const CompressorShape index_shape(config_.indexer.dimensions, ratio);
  float* key = index_keys_.entry(index_shape, w.index_keys, row);
  turn_entry(index * ratio, index_shape.dimensions, key);
  rows.caches[row]->put_index_key(layer, index, {key, index_shape.dimensions});
}

// By an entry's first position, which may lie before the step.
void CompressedAttentionMixer::turn_entry(uint32_t position, uint32_t dimensions,
                                          float* entry) const {
  std::vector<float> cosines(entry_rope_.pairs());
  std::vector<float> sines(entry_rope_.pairs());
  entry_rope_.fill(position, cosines.data(), sines.data());
  rotate(config_.rope.pairs, cosines.data(), sines.data(), entry_rope_.pairs(),
         turned(entry, dimensions));
}

void CompressedAttentionMixer::move_row(uint32_t from, uint32_t to) {
  std::copy_n(query_row(from), config_.query_columns(), query_row(to));
  raw_rows_[to] = raw_rows_[from];
  indexer_.move_row(from, to);
}

void CompressedAttentionMixer::mix(uint32_t layer, const StepRows& rows, std::vector<float>& out) {
  const CompressedAttentionWeights& w = weights(layer);
  const LayerRope rope = config_.rope_of(layer);
  output_.reset(w.output, rows.count(), config_.query_columns());
  attention_.run({layer, config_.compress_ratio(layer), w.sinks, indexer_.selection(layer)},
                 rows.rows, recurrent_, raw_rows_, queries_.data(), output_.input(0));
  for_rows(compute_.threads, rows.count(), [&](uint32_t row) {
    float* head = output_.input(row);
    for (uint32_t i = 0; i < config_.heads; ++i, head += config_.head_dim) {
      rows.turn_back(rope, config_.rope.pairs, row, turned(head, config_.head_dim));
    }
  });
  output_.run(w.output, rows.count(), out);
}

}  // namespace

std::unique_ptr<TokenMixer> make_compressed_attention_mixer(const Model& model,
                                                            const ComputeContext& compute) {
  return std::make_unique<CompressedAttentionMixer>(model, compute);
}

}  // namespace potluck
