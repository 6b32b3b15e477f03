// ModelConfig: every difference between architectures that numbers and switches can say, read from
// a GGUF file and checked against limits.h. Plain value; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/experts/expert_bank.h"
#include "engine/gguf/gguf.h"
#include "engine/model/recurrent_shape.h"

namespace potluck {

// How a token row learns about the rows before it.
enum class MixerKind : uint8_t {
  kNone,  // it does not: the layer is a feed-forward part alone
  kAttention,
  kLatentAttention,
  kDeltaNet,
  kShortConvolution,
  kMamba,
  kKimiDelta,
  kCompressedAttention,
};
inline constexpr size_t kMixerKinds = 8;

// Whether such a layer stores a key and a value of every position.
constexpr bool attends(MixerKind kind) {
  return kind == MixerKind::kAttention || kind == MixerKind::kLatentAttention;
}

// Whether such a layer has a state of fixed size; compressed attention has entries beside it.
constexpr bool is_recurrent(MixerKind kind) {
  return kind != MixerKind::kNone && !attends(kind);
}

// What follows the mixer in a layer.
enum class FeedForwardKind : uint8_t { kNone, kDense, kExperts };

// Which two values of a head rope turns against each other: i and i + dimensions / 2 ("NEOX"), or
// 2 i and 2 i + 1 ("NORM").
enum class RopePairs : uint8_t { kHalves, kNeighbors };

// Positions beyond those a model was trained with: frequencies are divided (linear), or divided
// where they turn slowly and left alone where they turn fast (YaRN).
enum class RopeScaling : uint8_t {
  kNone,
  kLinear,
  kYarn,
  kLongRope  // by two lists of divisors, of which the context decides; see rope.h
};

struct RopeConfig {
  RopePairs pairs = RopePairs::kHalves;
  uint32_t dimensions = 0;  // so many values of a head are turned; the others stay
  double base = 0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;             // of kLinear and kYarn
  double original_context = 0;   // of kYarn and kLongRope: positions of the first training
  double beta_fast = 32;         // of kYarn: turns within original_context, above: left alone
  double beta_slow = 1;          // of kYarn: below: divided
  bool whole_yarn_range = true;  // of kYarn: the range in between is widened to whole pairs
  double magnitude = 1;          // sines and cosines are multiplied by it

  // Which list of divisors counts in a context of so many positions.
  bool takes_long(uint32_t context) const {
    return scaling == RopeScaling::kLongRope && context > original_context;
  }
};

// Which of a model's ropes turns a layer's heads.
enum class LayerRope : uint8_t { kMain, kWindow, kNone };

// Norms of the residual: by the root of the mean square, or by mean and deviation.
enum class NormKind : uint8_t { kRms, kLayer };

// An RMS norm of queries and keys before rope.
enum class HeadNorm : uint8_t {
  kNone,
  kPerHead,
  kFullWidth,
  kTurnedHeads  // per head, without weights, in layers whose heads rope turns
};

// Queries of layers without rope grow with their position (Llama 4): they are multiplied by
// 1 + scale * ln(1 + floor((position + 1) / interval)).
struct QueryTemperature {
  uint32_t interval = 0;  // positions; 0: not this architecture
  double scale = 0;

  float at(uint32_t position) const;  // the factor
};

// The sigmoids that attention's output is multiplied by before the last projection.
enum class AttentionGate : uint8_t {
  kNone,
  kInQueries,  // for each value, from the query projection: every head's gates follow its query
  kPerValue,   // for each value, from a matrix of its own
  kPerHead     // one for each head, likewise
};

// Which attention layers have sinks.
enum class Sinks : uint8_t { kNone, kAllLayers, kWindowLayers };

// How the router's logits become probabilities.
enum class Gating : uint8_t {
  kSoftmax,          // over all experts
  kSigmoid,          // each for itself
  kSqrtSoftplus,     // likewise: sqrt(log(1 + exp(x)))
  kSoftmaxOfChosen,  // experts are chosen by their logits, the softmax is over the chosen ones
  kSparseMixer,      // one expert after the other, by logits; see router.h
  kSigmoidOfChosen   // experts are chosen by their logits, the sigmoid is that of the chosen ones
};

// What a layer's router reads.
enum class RouterInput : uint8_t {
  kFeedForwardInput,  // the normed residual, like all that follows
  kLayerInput,        // the residual as it was before the layer, as it is (SmallThinker)
  kScaledNorm         // the residual's RMS norm by learned weights over sqrt(hidden) (Gemma 4)
};

struct RouterConfig {
  uint32_t experts = 0;  // 0: a dense model
  uint32_t top_k = 0;
  bool normalize_weights = true;  // the chosen weights are divided by their sum
  Gating gating = Gating::kSoftmax;
  bool bias = false;            // added to the logits
  bool selection_bias = false;  // added to the probabilities for choosing, not for the weights
  uint32_t groups = 1;          // experts are chosen from the `groups_used` best groups only
  uint32_t groups_used = 1;
  bool groups_by_best_two = true;  // a group counts as the sum of its best two, else as its best
  float weight_scale = 1;          // the weights are multiplied by it at the end
  RouterInput input = RouterInput::kFeedForwardInput;
  // The one chosen expert's input is multiplied by its weight, instead of its output (Llama 4).
  bool scales_input = false;
  // The first so many layers take the experts that a table names for the token; see
  // token_experts.h.
  uint32_t hash_layers = 0;
};

// Latent attention: all heads read one compressed vector per position.
struct LatentConfig {
  uint32_t rank = 0;               // of the compressed keys and values; 0: not this architecture
  uint32_t query_rank = 0;         // of compressed queries; 0: they are not compressed
  uint32_t plain_dimensions = 0;   // of a head's query and key, without rope
  uint32_t shared_dimensions = 0;  // further ones, whose key all heads share; rope turns them
  uint32_t value_dimensions = 0;   // of a head's output
};

// What sparse attention's indexers choose; see indexer.h.
enum class IndexerKind : uint8_t { kNone, kPositions, kBlocks, kEntries };

struct IndexerConfig {
  IndexerKind kind = IndexerKind::kNone;
  uint32_t heads = 0;         // of kBlocks: one for each KV head
  uint32_t dimensions = 0;    // of a head
  uint32_t top_k = 0;         // positions, blocks or entries that attention sees
  uint32_t block = 0;         // of kBlocks: positions
  uint32_t local_blocks = 0;  // of kBlocks: the last so many are always chosen
  RopePairs pairs = RopePairs::kHalves;
  std::vector<uint8_t> layers;  // [layers]: 1 where there is one; empty: everywhere
};

// Compressed attention: a window of positions, and one entry for every `ratio` positions before;
// one KV head, whose keys are its values. See compressed_attention.cpp.
struct CompressedConfig {
  uint32_t query_rank = 0;       // of compressed queries; 0: not this architecture
  uint32_t output_groups = 0;    // of heads, each with a first output matrix of its own
  uint32_t output_rank = 0;      // of what a group becomes
  std::vector<uint32_t> ratios;  // [layers]: positions that become an entry; 0: a window alone

  // Whether an entry mixes the positions of the window before as well.
  static constexpr bool overlaps(uint32_t ratio) { return ratio == 4; }
};

// Hyper-connections: several residuals instead of one; see hyper_connections.h.
struct HyperConfig {
  uint32_t streams = 1;     // 1: not this architecture
  uint32_t iterations = 0;  // of making rows and columns sum to 1
  float epsilon = 0;
};

// The gated delta net: a matrix per head that every token decays and corrects.
struct DeltaNetConfig {
  uint32_t key_heads = 0;  // 0: not this architecture
  uint32_t value_heads = 0;
  uint32_t key_dim = 0;
  uint32_t value_dim = 0;
  uint32_t convolution = 0;  // tokens that the causal convolution sees, its own included
  bool tiled_heads = false;  // value head h reads key head h mod key_heads, else h / (their ratio)
  bool joined_beta_alpha = false;  // one matrix for both, interleaved by key head

  uint32_t key_columns() const { return key_heads * key_dim; }
  uint32_t value_columns() const { return value_heads * value_dim; }
  // Channels of the convolution: queries, keys, values.
  uint32_t channels() const { return 2 * key_columns() + value_columns(); }
};

// Mamba-2: a matrix per head that every token decays and adds to.
struct MambaConfig {
  uint32_t heads = 0;  // 0: not this architecture
  uint32_t head_dim = 0;
  uint32_t groups = 0;  // of heads, which share B and C
  uint32_t state = 0;   // values of B and C
  uint32_t convolution = 0;

  uint32_t inner() const { return heads * head_dim; }
  // Channels of the convolution: x, B, C.
  uint32_t channels() const { return inner() + 2 * groups * state; }
  // Rows of the input projection: z, then the channels, then a time step for each head.
  uint32_t projected() const { return inner() + channels() + heads; }
};

// Kimi Delta Attention: a delta net whose matrices decay by a factor for each key dimension. As
// many key heads as value heads, all of one size.
struct KimiDeltaConfig {
  uint32_t heads = 0;  // 0: not this architecture
  uint32_t head_dim = 0;
  uint32_t convolution = 0;

  uint32_t columns() const { return heads * head_dim; }
};

struct ModelConfig {
  std::string architecture;  // general.architecture
  std::string name;          // general.name, or the file's name
  uint32_t layers = 0;
  uint32_t next_token_layers = 0;  // further blocks of the file that predict tokens ahead: not used
  uint32_t hidden = 0;
  uint32_t vocabulary = 0;
  uint32_t trained_context = 0;

  // Attention. With latent attention there is one KV head, the compressed vector, and head_dim and
  // value_dim say what of it is compared and summed.
  uint32_t heads = 0;                      // where layers differ, the most of any
  uint32_t kv_heads = 0;                   // likewise
  std::vector<uint32_t> layer_heads;       // [layers]; empty: all have `heads`
  std::vector<uint32_t> layer_kv_heads;    // [layers]; empty: all have `kv_heads`
  uint32_t head_dim = 0;                   // of queries and keys; where layers differ, the most
  uint32_t value_dim = 0;                  // of values; likewise
  std::vector<uint32_t> layer_head_dims;   // [layers]; empty: all have `head_dim`
  std::vector<uint32_t> layer_value_dims;  // [layers]; empty: all have `value_dim`
  // [layers]: whose keys and values a layer attends to, itself or an earlier one; empty: itself.
  std::vector<uint32_t> kv_layers;
  std::vector<uint8_t> key_values;  // [layers]: 1 where the products for keys are the values, too
  bool value_norm = false;          // values are normed per head, without weights
  QueryTemperature query_temperature;
  float attention_scale = 0;  // scores are (q . k) * attention_scale
  HeadNorm head_norm = HeadNorm::kNone;
  bool rope_before_norm = false;   // heads are turned first, then normed
  bool projection_biases = false;  // of queries, keys and values
  bool output_bias = false;        // of the attention's output
  AttentionGate attention_gate = AttentionGate::kNone;
  float value_scale = 1;                 // of attention's output
  Sinks sinks = Sinks::kNone;            // a learned score per head that no value belongs to
  uint32_t full_attention_interval = 1;  // every so many-th layer attends to all positions;
  uint32_t sliding_window = 0;           // the others to the last so many, or,
  bool chunked_windows = false;          // if set, to those since the last multiple of it
  std::vector<uint8_t> window_layers;    // [layers]: 1 where there is a window; empty: as above
  LatentConfig latent;                   // or are of another kind
  DeltaNetConfig delta;
  MambaConfig mamba;
  KimiDeltaConfig kimi;
  CompressedConfig compressed;
  uint32_t short_convolution = 0;  // tokens that such a layer sees, its own included
  std::vector<MixerKind> mixers;   // [layers]; empty: the rule above
  IndexerConfig indexer;
  RopeConfig rope;
  RopeConfig window_rope;              // of kWindow layers; 0 dimensions: there are none
  std::vector<LayerRope> layer_ropes;  // [layers]; empty: all kMain

  HyperConfig hyper;

  std::string_view output_norm_name = "output_norm";  // of the tensor

  // Feed-forward parts.
  std::string_view ffn_norm_name = "ffn_norm";  // of the tensor
  NormKind norm = NormKind::kRms;
  bool norm_biases = false;
  bool post_norms = false;      // what a branch adds to the residual is normed first
  bool parallel_block = false;  // both branches read one norm of the residual before them
  float norm_epsilon = 0;
  RouterConfig router;
  uint32_t leading_dense_layers = 0;           // of a model with experts;
  uint32_t expert_layer_step = 1;              // of those after them, every so many-th has experts
  std::vector<FeedForwardKind> feed_forwards;  // [layers]; empty: as these two numbers say
  uint32_t expert_width = 0;                   // of the routed experts; 0 in a dense model
  bool expert_biases = false;
  // Each expert's output has a learned scale (Gemma 4). Where weights are NVFP4, the files of any
  // family may have scales, and theirs holds both.
  bool expert_scales = false;
  ExpertActivation expert_activation = ExpertActivation::kSwiGlu;
  std::vector<float> expert_limits;  // [layers], of a kind with limits; 0: SwiGLU without one
  // Routed experts read and write so many values, between two projections; 0: the hidden state.
  uint32_t latent_width = 0;
  uint32_t ffn_width = 0;  // of the feed-forward part of a dense layer; 0 if there is none
  std::vector<uint32_t> layer_ffn_widths;  // [layers]; empty: all have `ffn_width`, the most
  // Layers with experts have such a part, too, with norms of its own (Gemma 4).
  bool dense_beside_experts = false;
  ExpertActivation ffn_activation = ExpertActivation::kSwiGlu;  // of dense layers, shared experts
  std::vector<float> ffn_limits;                                // [layers], likewise
  uint32_t shared_width = 0;  // of the expert that every token goes to; 0 if there is none
  bool shared_gate = false;   // its output is multiplied by sigmoid(a weight row . x)

  // Multipliers; 1 where the architecture has none.
  float embedding_scale = 1;
  float residual_scale = 1;  // of everything that is added to the residual
  float logit_divisor = 1;
  float expert_scale = 1;        // of what routed and shared experts add
  bool logit_bias = false;       // added to the output product
  float logit_cap = 0;           // logits become cap * tanh(logit / cap); 0: as they are
  bool layer_scales = false;     // a layer's result is multiplied by a learned number
  uint32_t per_layer_width = 0;  // of what layers read of the token itself (per_layer_inputs.h)

  // Values of a row's residual, all streams.
  uint32_t residual_columns() const { return hyper.streams * hidden; }
  // Positions that become an entry of the layer's compressed attention; 0: it has none.
  uint32_t compress_ratio(uint32_t layer) const {
    return compressed.ratios.empty() ? 0 : compressed.ratios[layer];
  }
  uint32_t query_columns() const { return heads * head_dim; }  // where layers differ, the most
  uint32_t key_columns() const { return kv_heads * head_dim; }
  uint32_t value_columns() const { return kv_heads * value_dim; }
  uint32_t attention_columns() const { return heads * value_dim; }
  uint32_t heads_of(uint32_t layer) const {
    return layer_heads.empty() ? heads : layer_heads[layer];
  }
  uint32_t kv_heads_of(uint32_t layer) const {
    return layer_kv_heads.empty() ? kv_heads : layer_kv_heads[layer];
  }
  uint32_t head_dim_of(uint32_t layer) const {
    return layer_head_dims.empty() ? head_dim : layer_head_dims[layer];
  }
  uint32_t value_dim_of(uint32_t layer) const {
    return layer_value_dims.empty() ? value_dim : layer_value_dims[layer];
  }
  uint32_t ffn_width_of(uint32_t layer) const {
    return layer_ffn_widths.empty() ? ffn_width : layer_ffn_widths[layer];
  }
  uint32_t kv_layer_of(uint32_t layer) const {
    return kv_layers.empty() ? layer : kv_layers[layer];
  }
  bool has_key_values(uint32_t layer) const {
    return !key_values.empty() && key_values[layer] != 0;
  }
  // Query heads per KV head; of layers that are alike.
  uint32_t group_size() const { return heads / kv_heads; }
  uint32_t group_size(uint32_t layer) const { return heads_of(layer) / kv_heads_of(layer); }
  Activation expert_activation_of(uint32_t layer) const {
    return activation_of(expert_activation, expert_limits, layer);
  }
  Activation ffn_activation_of(uint32_t layer) const {
    return activation_of(ffn_activation, ffn_limits, layer);
  }
  // Values in and out of a routed expert.
  uint32_t expert_columns() const { return latent_width > 0 ? latent_width : hidden; }
  bool has_experts(uint32_t layer) const {
    if (layer >= layers || router.experts == 0) return false;
    if (!feed_forwards.empty()) return feed_forwards[layer] == FeedForwardKind::kExperts;
    return layer >= leading_dense_layers && (layer + 1) % expert_layer_step == 0;
  }
  bool has_feed_forward(uint32_t layer) const {
    return feed_forwards.empty() || feed_forwards[layer] != FeedForwardKind::kNone;
  }
  bool has_dense_layers() const {
    return router.experts == 0 || leading_dense_layers > 0 || expert_layer_step > 1 ||
           dense_beside_experts;
  }
  bool has_sinks(uint32_t layer) const {
    return sinks == Sinks::kAllLayers || (sinks == Sinks::kWindowLayers && !attends_to_all(layer));
  }
  bool has_indexer(uint32_t layer) const {
    if (indexer.kind == IndexerKind::kNone) return false;
    return indexer.layers.empty() || indexer.layers[layer] != 0;
  }
  LayerRope rope_of(uint32_t layer) const {
    return layer_ropes.empty() ? LayerRope::kMain : layer_ropes[layer];
  }
  bool attends_to_all(uint32_t layer) const {
    if (!window_layers.empty()) return window_layers[layer] == 0;
    return (layer + 1) % full_attention_interval == 0;
  }
  MixerKind mixer(uint32_t layer) const {
    if (!mixers.empty()) return mixers[layer];
    if (compressed.query_rank > 0) return MixerKind::kCompressedAttention;
    if (latent.rank > 0) return MixerKind::kLatentAttention;
    bool recurrent = delta.key_heads > 0 && !attends_to_all(layer);
    return recurrent ? MixerKind::kDeltaNet : MixerKind::kAttention;
  }
  // Whether a position's value is the first value_dim numbers of its key.
  bool values_in_keys(uint32_t layer) const { return mixer(layer) == MixerKind::kLatentAttention; }
  // What the state of its recurrent layers consists of, all of which are of one kind.
  RecurrentShape recurrent_shape() const;
  // Positions a row of this layer sees, its own included; 0: all. See chunked_windows.
  uint32_t window(uint32_t layer) const { return attends_to_all(layer) ? 0 : sliding_window; }

 private:
  static Activation activation_of(ExpertActivation kind, const std::vector<float>& limits,
                                  uint32_t layer) {
    if (!has_limit(kind)) return {kind, 0};
    if (limits[layer] == 0) return {};
    return {kind, limits[layer]};
  }
};

// One row per architecture: how its configuration is read. Each lives in a file of its own in
// engine/model/architectures/; all that follows (weights, banks, forward) goes by the ModelConfig.
struct Architecture {
  std::string_view name;
  Result<ModelConfig> (*read_config)(const GgufModel& model);
};

std::span<const Architecture> architectures();

// Reads and checks the configuration. An unknown architecture is refused by name, with the list of
// known ones.
Result<ModelConfig> read_config(const GgufModel& model);

// What engine and limits ask of any configuration; read_config() has done it. The error names the
// number and what it must be.
Status check_config(const ModelConfig& config);

// The expert banks of all MoE layers, checked.
Result<std::vector<ExpertBank>> find_expert_banks(const GgufModel& model,
                                                  const ModelConfig& config);

}  // namespace potluck
