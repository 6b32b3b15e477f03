#include "tests/support/model_maker/plan.h"

#include <cmath>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "engine/kernels/block_format.h"
#include "tests/support/model_maker/format_mix.h"
#include "tests/support/model_maker/metadata.h"
#include "tests/support/model_maker/routing.h"
#include "tests/support/model_maker/vocabulary.h"

namespace potluck::test {
namespace {

constexpr uint64_t kDataAlignment = 32;
// Channels of the hidden state that, in a skewed model, are the same for every token.
constexpr uint32_t kConstantChannels = 32;
// Of tables of whole numbers.
constexpr FillFormat kTableFormat{26, "I32", 1, 4, 1, nullptr};

// FNV-1a: the random stream of a tensor goes by its name, so that a change of one tensor leaves the
// others as they are.
uint64_t hash_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

std::vector<float> uniform(const CounterRandom& random, uint64_t count, double low, double high) {
  std::vector<float> values(count);
  for (uint64_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(low + (high - low) * random.uniform(i));
  }
  return values;
}

// Makes the list of tensors, as load_weights() will ask for them. Deviations are such that every
// product of a row with normed values gives values around 1; what is added to the residual is so
// much smaller that all layers together add about as much as the embedding holds.
class Planner {
 public:
  Planner(const ModelShape& shape, const FormatMix& mix, ModelPlan* plan)
      : shape_(shape), c_(shape.config), mix_(mix), plan_(*plan) {}

  Status plan();

 private:
  // A matrix, a bank of `count` of them if count > 0; "weight" is added to the name.
  void matrix(const std::string& name, uint64_t rows, uint64_t columns, double deviation,
              uint64_t count = 0);
  void branch_output(const std::string& name, uint64_t columns, double scale, uint64_t count = 0);
  void values(const std::string& name, std::vector<uint64_t> dimensions,
              std::function<std::vector<float>(const CounterRandom&)> make);
  void uniform_values(const std::string& name, std::vector<uint64_t> dimensions, double low,
                      double high);
  void experts_of_tokens();
  void norm(const std::string& name, uint64_t count);
  void residual_norm(const std::string& name);

  void embedding();
  void rope_divisors();
  Status find_constants();
  void layer();
  void attention();
  void projections(uint64_t queries, uint64_t keys, uint64_t values);
  void head_norms(uint64_t queries, uint64_t keys);
  void per_layer_inputs();
  void per_layer_part();
  void latent_attention();
  void delta_net();
  void short_convolution();
  void mamba();
  void kimi_delta();
  void compressed_attention();
  void compressor(const std::string& name, uint64_t dimensions);
  void hyper_connections(const std::string& prefix, bool is_last);
  void indexer();
  void feed_forward(const std::string& suffix, uint32_t width);
  void experts();
  void router();
  void selection_bias(const std::vector<double>& offsets);

  std::string blk(std::string_view part) const { return fmt::format("blk.{}.{}", layer_, part); }
  double fan_in(double count) const { return 1 / std::sqrt(count); }
  // Offsets go into the router's weights where the family has no biases for them.
  bool needs_constants() const {
    return shape_.skew > 0 && c_.router.experts > 0 && !c_.router.bias && !c_.router.selection_bias;
  }

  const ModelShape& shape_;
  const ModelConfig& c_;
  const FormatMix& mix_;
  ModelPlan& plan_;
  uint32_t layer_ = 0;
  uint32_t shared_columns_ = 0;   // of the token embedding
  std::vector<float> constants_;  // of the hidden state, in a skewed model
  std::optional<Error> error_;
};

void Planner::matrix(const std::string& name, uint64_t rows, uint64_t columns, double deviation,
                     uint64_t count) {
  TensorPlan tensor;
  tensor.name = name + ".weight";
  tensor.dimensions = {columns, rows};
  if (count > 0) tensor.dimensions.push_back(count);
  tensor.deviation = deviation;
  auto format = mix_.choose({tensor.name, columns, layer_, c_.layers, c_.router.experts,
                             tensor.name.find("_exps.") != std::string::npos});
  if (!format && !error_) error_ = format.error();
  if (!format) return;
  tensor.format = *format;
  plan_.tensors.push_back(std::move(tensor));
}

// What a layer adds to the residual: a part of it, and nothing to the constant channels.
void Planner::branch_output(const std::string& name, uint64_t columns, double scale,
                            uint64_t count) {
  double share = 1 / (std::sqrt(2.0 * c_.layers) * c_.residual_scale);
  matrix(name, c_.hidden, columns, share * scale * fan_in(static_cast<double>(columns)), count);
  if (needs_constants() && !error_) plan_.tensors.back().silent_rows = kConstantChannels;
}

void Planner::values(const std::string& name, std::vector<uint64_t> dimensions,
                     std::function<std::vector<float>(const CounterRandom&)> make) {
  TensorPlan tensor;
  tensor.name = name;
  tensor.dimensions = std::move(dimensions);
  tensor.format = find_fill_format("F32");
  tensor.values = [make = std::move(make), random = plan_.random(name)] { return make(random); };
  plan_.tensors.push_back(std::move(tensor));
}

void Planner::uniform_values(const std::string& name, std::vector<uint64_t> dimensions, double low,
                             double high) {
  uint64_t count = std::accumulate(dimensions.begin(), dimensions.end(), uint64_t{1},
                                   std::multiplies<uint64_t>());
  values(name, std::move(dimensions),
         [=](const CounterRandom& random) { return uniform(random, count, low, high); });
}

// The constant channels pass norms unchanged, so that their size at the routers is known.
void Planner::norm(const std::string& name, uint64_t count) {
  uint32_t constant = needs_constants() && count == c_.hidden ? kConstantChannels : 0;
  values(name + ".weight", {count}, [=](const CounterRandom& random) {
    std::vector<float> weights = uniform(random, count, 0.8, 1.2);
    std::fill_n(weights.begin(), constant, 1.0F);
    return weights;
  });
}

void Planner::residual_norm(const std::string& name) {
  norm(name, c_.hidden);
  if (c_.norm_biases) uniform_values(name + ".bias", {c_.hidden}, -0.1, 0.1);
}

void Planner::embedding() {
  matrix("token_embd", c_.vocabulary, c_.hidden, 1 / c_.embedding_scale);
  if (!needs_constants() || error_) return;
  TensorPlan& tensor = plan_.tensors.back();
  shared_columns_ = std::max(kConstantChannels, tensor.format->block_elements);
  tensor.shared_columns = shared_columns_;
}

// The first channels of every token's embedding, as the engine will decode them.
Status Planner::find_constants() {
  if (!needs_constants()) return {};
  const TensorPlan& embedding = plan_.tensors.front();
  const BlockFormat* decoder = find_block_format(embedding.format->type);
  if (decoder == nullptr || c_.hidden <= shared_columns_) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--skew: the hidden size of {} must be above {}, and the format of "
                             "{}, {}, one that this program decodes",
                             c_.hidden, shared_columns_, embedding.name, embedding.format->name)};
  }
  ByteVector blocks(embedding.format->row_bytes(shared_columns_));
  fill_blocks(*embedding.format, plan_.random(embedding.name), embedding.deviation, 0, blocks);
  std::vector<float> decoded(shared_columns_);
  decoder->decode(blocks.data(), shared_columns_, decoded.data());
  for (uint32_t i = 0; i < kConstantChannels; ++i) {
    constants_.push_back(decoded[i] * c_.embedding_scale);
  }
  return {};
}

void Planner::projections(uint64_t queries, uint64_t keys, uint64_t values) {
  double input = fan_in(c_.hidden);
  if (shape_.joins_projections) {
    return matrix(blk("attn_qkv"), queries + keys + values, c_.hidden, input);
  }
  matrix(blk("attn_q"), queries, c_.hidden, input);
  if (c_.kv_layer_of(layer_) != layer_) return;
  matrix(blk("attn_k"), keys, c_.hidden, input);
  if (!c_.has_key_values(layer_)) matrix(blk("attn_v"), values, c_.hidden, input);
  if (!c_.projection_biases) return;
  uniform_values(blk("attn_q.bias"), {queries}, -0.2, 0.2);
  uniform_values(blk("attn_k.bias"), {keys}, -0.2, 0.2);
  uniform_values(blk("attn_v.bias"), {values}, -0.2, 0.2);
}

void Planner::head_norms(uint64_t queries, uint64_t keys) {
  if (c_.head_norm != HeadNorm::kPerHead && c_.head_norm != HeadNorm::kFullWidth) return;
  bool per_head = c_.head_norm == HeadNorm::kPerHead;
  norm(blk("attn_q_norm"), per_head ? c_.head_dim_of(layer_) : queries);
  if (c_.kv_layer_of(layer_) != layer_) return;
  norm(blk("attn_k_norm"), per_head ? c_.head_dim_of(layer_) : keys);
}

void Planner::attention() {
  uint64_t heads = c_.heads_of(layer_);
  uint64_t kv_heads = c_.kv_heads_of(layer_);
  uint64_t queries = heads * c_.head_dim_of(layer_);
  uint64_t keys = kv_heads * c_.head_dim_of(layer_);
  uint64_t attended = heads * c_.value_dim_of(layer_);
  bool has_gates = c_.attention_gate == AttentionGate::kInQueries;
  projections(has_gates ? 2 * queries : queries, keys, kv_heads * c_.value_dim_of(layer_));
  head_norms(queries, keys);
  double input = fan_in(c_.hidden);
  if (c_.attention_gate == AttentionGate::kPerValue) {
    matrix(blk("attn_gate"), attended, c_.hidden, input);
  } else if (c_.attention_gate == AttentionGate::kPerHead) {
    matrix(blk("attn_gate"), heads, c_.hidden, input);
  }
  if (c_.has_sinks(layer_)) uniform_values(blk("attn_sinks.weight"), {heads}, -1, 1);
  branch_output(blk("attn_output"), attended, 1);
  if (c_.output_bias) uniform_values(blk("attn_output.bias"), {c_.hidden}, -0.02, 0.02);
}

void Planner::latent_attention() {
  const LatentConfig& latent = c_.latent;
  uint64_t queries = uint64_t{c_.heads} * (latent.plain_dimensions + c_.latent.shared_dimensions);
  if (latent.query_rank > 0) {
    matrix(blk("attn_q_a"), latent.query_rank, c_.hidden, fan_in(c_.hidden));
    norm(blk("attn_q_a_norm"), latent.query_rank);
    matrix(blk("attn_q_b"), queries, latent.query_rank, fan_in(latent.query_rank));
  } else {
    matrix(blk("attn_q"), queries, c_.hidden, fan_in(c_.hidden));
  }
  matrix(blk("attn_kv_a_mqa"), latent.rank + c_.latent.shared_dimensions, c_.hidden,
         fan_in(c_.hidden));
  norm(blk("attn_kv_a_norm"), latent.rank);
  matrix(blk("attn_k_b"), latent.rank, latent.plain_dimensions, fan_in(latent.rank), c_.heads);
  matrix(blk("attn_v_b"), latent.value_dimensions, latent.rank, fan_in(latent.rank), c_.heads);
  branch_output(blk("attn_output"), uint64_t{c_.heads} * latent.value_dimensions, 1);
}

void Planner::indexer() {
  const uint64_t size = c_.indexer.dimensions;
  const uint64_t queries = c_.indexer.heads * size;
  const double input = fan_in(c_.hidden);
  if (c_.indexer.kind == IndexerKind::kBlocks) {
    matrix(blk("indexer.q_proj"), queries, c_.hidden, input);
    matrix(blk("indexer.k_proj"), size, c_.hidden, input);
    norm(blk("indexer.q_norm"), size);
    return norm(blk("indexer.k_norm"), size);
  }
  if (c_.indexer.kind == IndexerKind::kEntries) {
    const uint64_t rank = c_.compressed.query_rank;
    matrix(blk("indexer.attn_q_b"), queries, rank, fan_in(static_cast<double>(rank)));
    return matrix(blk("indexer.proj"), c_.indexer.heads, c_.hidden, input);
  }
  matrix(blk("indexer.attn_q_b"), queries, c_.latent.query_rank, fan_in(c_.latent.query_rank));
  matrix(blk("indexer.attn_k"), size, c_.hidden, input);
  matrix(blk("indexer.proj"), c_.indexer.heads, c_.hidden, input);
  norm(blk("indexer.k_norm"), size);
  uniform_values(blk("indexer.k_norm.bias"), {size}, -0.1, 0.1);
}

// Decays and time steps in the range in which such models are initialized for training.
void Planner::delta_net() {
  const DeltaNetConfig& delta = c_.delta;
  double input = fan_in(c_.hidden);
  matrix(blk("attn_qkv"), delta.channels(), c_.hidden, input);
  matrix(blk("attn_gate"), delta.value_columns(), c_.hidden, input);
  if (delta.joined_beta_alpha) {
    matrix(blk("ssm_ba"), 2 * delta.value_heads, c_.hidden, input);
  } else {
    matrix(blk("ssm_beta"), delta.value_heads, c_.hidden, input);
    matrix(blk("ssm_alpha"), delta.value_heads, c_.hidden, input);
  }
  uniform_values(blk("ssm_conv1d.weight"), {delta.convolution, delta.channels()}, -0.8, 0.8);
  uniform_values(blk("ssm_a"), {delta.value_heads}, -16, -1);
  uniform_values(blk("ssm_dt.bias"), {delta.value_heads}, -6, -2);
  norm(blk("ssm_norm"), delta.value_dim);
  branch_output(blk("ssm_out"), delta.value_columns(), 1);
}

void Planner::short_convolution() {
  matrix(blk("shortconv.in_proj"), 3 * uint64_t{c_.hidden}, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("shortconv.conv.weight"), {c_.short_convolution, c_.hidden}, -1, 1);
  branch_output(blk("shortconv.out_proj"), c_.hidden, 1);
}

void Planner::mamba() {
  const MambaConfig& mamba = c_.mamba;
  matrix(blk("ssm_in"), mamba.projected(), c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("ssm_conv1d.weight"), {mamba.convolution, mamba.channels()}, -0.8, 0.8);
  uniform_values(blk("ssm_conv1d.bias"), {mamba.channels()}, -0.2, 0.2);
  uniform_values(blk("ssm_a"), {1, mamba.heads}, -16, -1);
  uniform_values(blk("ssm_d"), {1, mamba.heads}, 0.5, 1.5);
  uniform_values(blk("ssm_dt.bias"), {mamba.heads}, -6, -2);
  uint64_t group = mamba.inner() / mamba.groups;
  uniform_values(blk("ssm_norm.weight"), {group, mamba.groups}, 0.8, 1.2);
  branch_output(blk("ssm_out"), mamba.inner(), 1);
}

void Planner::kimi_delta() {
  const KimiDeltaConfig& kimi = c_.kimi;
  uint32_t columns = kimi.columns();
  for (const char* part : {"q", "k", "v"}) {
    matrix(blk("attn_") + part, columns, c_.hidden, fan_in(c_.hidden));
    uniform_values(blk("ssm_conv1d_") + part + ".weight", {kimi.convolution, 1, columns}, -0.8,
                   0.8);
  }
  for (const char* part : {"f", "g"}) {
    matrix(blk("ssm_") + part + "_a", kimi.head_dim, c_.hidden, fan_in(c_.hidden));
    matrix(blk("ssm_") + part + "_b", columns, kimi.head_dim, fan_in(kimi.head_dim));
  }
  matrix(blk("ssm_beta"), kimi.heads, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("ssm_a"), {1, kimi.heads}, -16, -1);
  uniform_values(blk("ssm_dt.bias"), {columns}, -6, -2);
  norm(blk("ssm_norm"), kimi.head_dim);
  branch_output(blk("attn_output"), columns, 1);
}

void Planner::compressed_attention() {
  const CompressedConfig& compressed = c_.compressed;
  const double input = fan_in(c_.hidden);
  matrix(blk("attn_q_a"), compressed.query_rank, c_.hidden, input);
  norm(blk("attn_q_a_norm"), compressed.query_rank);
  matrix(blk("attn_q_b"), c_.query_columns(), compressed.query_rank, fan_in(compressed.query_rank));
  matrix(blk("attn_kv"), c_.head_dim, c_.hidden, input);
  norm(blk("attn_kv_a_norm"), c_.head_dim);
  uniform_values(blk("attn_sinks.weight"), {c_.heads}, -1, 1);
  if (compressed.ratios[layer_] > 0) compressor("attn_compressor_", c_.head_dim);
  if (c_.has_indexer(layer_)) compressor("indexer_compressor_", c_.indexer.dimensions);
  const uint64_t narrow = uint64_t{compressed.output_groups} * compressed.output_rank;
  const uint64_t columns = c_.query_columns() / compressed.output_groups;
  matrix(blk("attn_output_a"), narrow, columns, fan_in(static_cast<double>(columns)));
  branch_output(blk("attn_output_b"), narrow, 1);
}

void Planner::compressor(const std::string& name, uint64_t dimensions) {
  const uint64_t ratio = c_.compressed.ratios[layer_];
  const bool overlaps = CompressedConfig::overlaps(static_cast<uint32_t>(ratio));
  const uint64_t width = overlaps ? 2 * dimensions : dimensions;
  matrix(blk(name + "kv"), width, c_.hidden, fan_in(c_.hidden));
  matrix(blk(name + "gate"), width, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk(name + "ape.weight"), {width, ratio}, -0.5, 0.5);
  norm(blk(name + "norm"), dimensions);
}

// Streams mix a little and differ in what they take up.
void Planner::hyper_connections(const std::string& prefix, bool is_last) {
  const uint64_t n = c_.hyper.streams;
  if (n == 1) return;
  const uint64_t numbers = is_last ? n : n * (n + 2);
  const double limit = std::sqrt(3.0 / c_.residual_columns());
  uniform_values(prefix + "fn.weight", {c_.residual_columns(), numbers}, -limit, limit);
  uniform_values(prefix + "scale.weight", {is_last ? uint64_t{1} : 3}, 0.1, 0.5);
  uniform_values(prefix + "base.weight", {numbers}, -0.5, 0.5);
}

void Planner::feed_forward(const std::string& suffix, uint32_t width) {
  if (has_gate(c_.ffn_activation)) {
    matrix(blk("ffn_gate") + suffix, width, c_.hidden, fan_in(c_.hidden));
  }
  matrix(blk("ffn_up") + suffix, width, c_.hidden, fan_in(c_.hidden));
  branch_output(blk("ffn_down") + suffix, width, 1);
}

// What layers read of the token itself.
void Planner::per_layer_inputs() {
  if (c_.per_layer_width == 0) return;
  const uint64_t columns = uint64_t{c_.layers} * c_.per_layer_width;
  matrix("per_layer_token_embd", c_.vocabulary, columns, fan_in(c_.per_layer_width));
  matrix("per_layer_model_proj", columns, c_.hidden, 1);
  norm("per_layer_proj_norm", c_.per_layer_width);
}

void Planner::per_layer_part() {
  if (c_.per_layer_width == 0) return;
  matrix(blk("inp_gate"), c_.per_layer_width, c_.hidden, fan_in(c_.hidden));
  branch_output(blk("proj"), c_.per_layer_width, 1);
  norm(blk("post_norm"), c_.hidden);
}

void Planner::experts() {
  uint32_t count = c_.router.experts;
  uint32_t columns = c_.expert_columns();
  if (shape_.joins_gate_up) {
    matrix(blk("ffn_gate_up_exps"), 2 * c_.expert_width, columns, fan_in(columns), count);
  } else {
    if (has_gate(c_.expert_activation)) {
      matrix(blk("ffn_gate_exps"), c_.expert_width, columns, fan_in(columns), count);
    }
    matrix(blk("ffn_up_exps"), c_.expert_width, columns, fan_in(columns), count);
  }
  double scale = 1 / c_.router.weight_scale;
  if (c_.latent_width == 0) {
    branch_output(blk("ffn_down_exps"), c_.expert_width, scale, count);
  } else {
    matrix(blk("ffn_latent_down"), columns, c_.hidden, fan_in(c_.hidden));
    matrix(blk("ffn_down_exps"), columns, c_.expert_width, fan_in(c_.expert_width) * scale, count);
    branch_output(blk("ffn_latent_up"), columns, 1);
  }
  if (c_.expert_scales) uniform_values(blk("ffn_down_exps.scale"), {count}, 0.8, 1.2);
  if (!c_.expert_biases) return;
  uniform_values(blk("ffn_gate_exps.bias"), {c_.expert_width, count}, -0.2, 0.2);
  uniform_values(blk("ffn_up_exps.bias"), {c_.expert_width, count}, -0.2, 0.2);
  uniform_values(blk("ffn_down_exps.bias"), {c_.hidden, count}, -0.02, 0.02);
}

// Logits have a deviation of 1. With constants, the rows read nothing else of the channels that all
// tokens share: constants . row = offset, where the norm divides by the residual's size, which
// grows from 1 as layers add to it.
void Planner::router() {
  uint32_t experts = c_.router.experts;
  std::vector<double> offsets =
      logit_offsets(experts, c_.router.top_k, shape_.skew, plan_.random(blk("popularity")));
  std::vector<float> constants = constants_;
  uint32_t shared = shared_columns_;
  uint32_t hidden = c_.hidden;
  double energy = std::inner_product(constants.begin(), constants.end(), constants.begin(), 0.0);
  // What has no norm keeps its size.
  bool raw = c_.router.input == RouterInput::kLayerInput;
  double size = raw ? 1 : std::sqrt(1 + 0.3 * layer_ / c_.layers);
  auto make = [=](const CounterRandom& random) {
    double limit = std::sqrt(3.0 / (hidden - shared));
    std::vector<float> rows = uniform(random, uint64_t{experts} * hidden, -limit, limit);
    for (uint32_t expert = 0; expert < experts; ++expert) {
      float* row = rows.data() + uint64_t{expert} * hidden;
      std::fill_n(row, shared, 0.0F);
      for (size_t i = 0; i < constants.size(); ++i) {
        row[i] = static_cast<float>(offsets[expert] * size * constants[i] / energy);
      }
    }
    return rows;
  };
  values(blk("ffn_gate_inp.weight"), {hidden, experts}, make);
  if (c_.router.input == RouterInput::kScaledNorm) {
    const float root = std::sqrt(static_cast<float>(hidden));
    values(blk("ffn_gate_inp.scale"), {hidden}, [=](const CounterRandom& random) {
      std::vector<float> scales = uniform(random, hidden, 0.8, 1.2);
      std::fill_n(scales.begin(), constants.empty() ? 0 : kConstantChannels, 1.0F);
      for (float& scale : scales) scale *= root;
      return scales;
    });
  }
  if (c_.router.bias) {
    values(blk("ffn_gate_inp.bias"), {experts}, [offsets](const CounterRandom&) {
      return std::vector<float>(offsets.begin(), offsets.end());
    });
  }
  if (layer_ < c_.router.hash_layers) return experts_of_tokens();
  if (c_.router.selection_bias) selection_bias(offsets);
}

// Of each token: neighbors, from a random one on.
void Planner::experts_of_tokens() {
  TensorPlan tensor;
  tensor.name = blk("ffn_gate_tid2eid.weight");
  tensor.dimensions = {c_.router.top_k, c_.vocabulary};
  tensor.format = &kTableFormat;
  const uint32_t experts = c_.router.experts;
  tensor.indices = [tokens = c_.vocabulary, used = c_.router.top_k, experts,
                    random = plan_.random(tensor.name)] {
    std::vector<int32_t> indices;
    for (uint32_t token = 0; token < tokens; ++token) {
      const uint64_t first = random.bits(token) % experts;
      for (uint32_t i = 0; i < used; ++i) {
        indices.push_back(static_cast<int32_t>((first + i) % experts));
      }
    }
    return indices;
  };
  plan_.tensors.push_back(std::move(tensor));
}

// The same threshold, after the sigmoid.
void Planner::selection_bias(const std::vector<double>& offsets) {
  const char* name = c_.architecture == "hy_v3" ? "exp_probs_b" : "exp_probs_b.bias";
  values(blk(name), {offsets.size()}, [offsets](const CounterRandom&) {
    std::vector<float> biases;
    biases.reserve(offsets.size());
    for (double offset : offsets) {
      biases.push_back(static_cast<float>(1 / (1 + std::exp(-offset)) - 0.5));
    }
    return biases;
  });
}

void Planner::layer() {
  if (c_.mixer(layer_) != MixerKind::kNone) residual_norm(blk("attn_norm"));
  switch (c_.mixer(layer_)) {
    case MixerKind::kNone:
      break;
    case MixerKind::kAttention:
      attention();
      break;
    case MixerKind::kLatentAttention:
      latent_attention();
      break;
    case MixerKind::kDeltaNet:
      delta_net();
      break;
    case MixerKind::kShortConvolution:
      short_convolution();
      break;
    case MixerKind::kMamba:
      mamba();
      break;
    case MixerKind::kKimiDelta:
      kimi_delta();
      break;
    case MixerKind::kCompressedAttention:
      compressed_attention();
      break;
  }
  if (c_.has_indexer(layer_)) indexer();
  per_layer_part();
  if (c_.layer_scales) {
    // Constant channels must keep their size.
    double change = needs_constants() ? 0 : 0.1;
    uniform_values(blk("layer_output_scale.weight"), {1}, 1 - change, 1 + change);
  }
  if (c_.mixer(layer_) != MixerKind::kNone) hyper_connections(blk("hc_attn_"), false);
  if (!c_.has_feed_forward(layer_)) return;
  if (!c_.parallel_block) residual_norm(blk(c_.ffn_norm_name));
  if (c_.post_norms) {
    norm(blk("post_attention_norm"), c_.hidden);
    norm(blk("post_ffw_norm"), c_.hidden);
  }
  hyper_connections(blk("hc_ffn_"), false);
  if (!c_.has_experts(layer_)) return feed_forward("", c_.ffn_width_of(layer_));
  router();
  experts();
  if (c_.dense_beside_experts) {
    feed_forward("", c_.ffn_width_of(layer_));
    for (const char* part : {"post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"}) {
      norm(blk(part), c_.hidden);
    }
  }
  if (c_.shared_width == 0) return;
  feed_forward("_shexp", c_.shared_width);
  double limit = std::sqrt(3.0 / c_.hidden);
  if (c_.shared_gate) {
    uniform_values(blk("ffn_gate_inp_shexp.weight"), {c_.hidden, 1}, -limit, limit);
  }
}

// Gemma 4's full layers turn the first quarter of their pairs; the others stay as they are.
void Planner::rope_divisors() {
  if (c_.architecture != "gemma4") return;
  const uint32_t pairs = c_.rope.dimensions / 2;
  values("rope_freqs.weight", {pairs}, [pairs](const CounterRandom&) {
    std::vector<float> divisors(pairs, 1e30F);
    std::fill_n(divisors.begin(), pairs / 4, 1.0F);
    return divisors;
  });
}

Status Planner::plan() {
  embedding();
  if (error_) return *error_;
  if (Status found = find_constants(); !found) return found;
  per_layer_inputs();
  rope_divisors();
  for (layer_ = 0; layer_ < c_.layers; ++layer_) layer();
  layer_ = 0;
  hyper_connections("output_hc_", true);
  residual_norm(std::string(c_.output_norm_name));
  matrix("output", c_.vocabulary, c_.hidden, fan_in(c_.hidden) * c_.logit_divisor);
  if (c_.logit_bias) uniform_values("output.bias", {c_.vocabulary}, -0.1, 0.1);
  if (error_) return *error_;
  return {};
}

// What check_config() does not ask, because a reader sees no such file.
Status check_shape(const ModelShape& shape) {
  const ModelConfig& c = shape.config;
  if (Status checked = check_config(c); !checked) return checked;
  std::string wrong;
  if (c.vocabulary < kSmallestVocabulary) {
    wrong = fmt::format("--vocab: at least {} tokens, found {}", kSmallestVocabulary, c.vocabulary);
  } else if (!(shape.skew >= 0 && shape.skew <= 4)) {
    wrong = fmt::format("--skew: between 0 and 4, found {}", shape.skew);
  } else if (!c.shared_gate && c.shared_width > 0 && c.shared_width % c.expert_width != 0) {
    wrong = fmt::format("--shared-width: a multiple of the experts' {}, found {}", c.expert_width,
                        c.shared_width);
  }
  if (wrong.empty()) return {};
  return Error{ErrorCode::kInvalidArgument, wrong};
}

// With other layers than the preset has, its pattern is repeated.
template <class T>
void repeat_to(uint32_t layers, std::vector<T>* pattern) {
  if (pattern->empty()) return;
  const std::vector<T> once = *pattern;
  pattern->resize(layers);
  for (size_t i = 0; i < pattern->size(); ++i) (*pattern)[i] = once[i % once.size()];
}

// The same for everything that layers have for themselves.
void repeat_patterns(ModelConfig* config) {
  const uint32_t layers = config->layers;
  repeat_to(layers, &config->mixers);
  repeat_to(layers, &config->feed_forwards);
  repeat_to(layers, &config->window_layers);
  repeat_to(layers, &config->layer_ropes);
  repeat_to(layers, &config->key_values);
  repeat_to(layers, &config->indexer.layers);
  repeat_to(layers, &config->compressed.ratios);
  for (auto* numbers : {&config->layer_heads, &config->layer_kv_heads, &config->layer_head_dims,
                        &config->layer_value_dims, &config->layer_ffn_widths}) {
    repeat_to(layers, numbers);
  }
  repeat_to(layers, &config->expert_limits);
  repeat_to(layers, &config->ffn_limits);
  // As many of the last layers share keys and values as in the preset.
  std::vector<uint32_t>& kv_layers = config->kv_layers;
  if (kv_layers.empty()) return;
  uint32_t own = 0;
  while (own < kv_layers.size() && kv_layers[own] == own) ++own;
  const auto shared = static_cast<uint32_t>(kv_layers.size()) - own;
  own = layers - std::min(layers, shared);
  kv_layers.clear();
  for (uint32_t layer = 0; layer < layers; ++layer) {
    uint32_t from = layer;
    while (from >= own && from > 0) --from;
    while (from > 0 && layer >= own &&
           config->attends_to_all(from) != config->attends_to_all(layer)) {
      --from;
    }
    kv_layers.push_back(from);
  }
}

// What follows from the ratios, as the engine reads it.
void complete_entries(ModelConfig* config) {
  config->window_rope.dimensions = config->rope.dimensions;
  config->indexer.layers.clear();
  config->layer_ropes.clear();
  for (uint32_t ratio : config->compressed.ratios) {
    config->indexer.layers.push_back(ratio == 4 ? 1 : 0);
    config->layer_ropes.push_back(ratio == 0 ? LayerRope::kWindow : LayerRope::kMain);
  }
}

// Places the tensors one behind the other.
void make_header(const ModelShape& shape, uint32_t file_type, ModelPlan* plan) {
  GgufBuilder file;
  add_metadata(shape, file_type, &file);
  for (const TensorPlan& tensor : plan->tensors) {
    plan->offsets.push_back(plan->data_bytes);
    file.tensor({tensor.name, tensor.format->type, tensor.dimensions, {}, plan->data_bytes});
    plan->data_bytes = round_up(plan->data_bytes + tensor.bytes(), kDataAlignment);
  }
  plan->header = file.build();
  plan->header.resize(round_up<uint64_t>(plan->header.size(), kDataAlignment));
}

}  // namespace

uint64_t TensorPlan::rows() const {
  return std::accumulate(dimensions.begin() + 1, dimensions.end(), uint64_t{1},
                         std::multiplies<uint64_t>());
}

uint64_t TensorPlan::bytes() const {
  return rows() * format->row_bytes(dimensions[0]);
}

CounterRandom ModelPlan::random(const std::string& tensor) const {
  return CounterRandom(CounterRandom(seed).bits(hash_of(tensor)));
}

Result<ModelPlan> plan_model(const ModelShape& shape) {
  ModelShape complete = shape;
  ModelConfig& config = complete.config;
  if (config.latent.rank > 0) {  // as the engine reads it: one head of compressed vectors
    if (config.kimi.heads == 0) config.latent.shared_dimensions = config.rope.dimensions;
    config.head_dim = config.latent.rank + config.latent.shared_dimensions;
    config.value_dim = config.latent.rank;
  }
  if (config.attention_scale == 0) config.attention_scale = 1;  // follows from the sizes
  repeat_patterns(&config);
  if (config.compressed.query_rank > 0) complete_entries(&config);
  if (Status checked = check_shape(complete); !checked) return checked.error();
  auto mix = FormatMix::parse(shape.format, shape.tensor_formats);
  if (!mix) return mix.error();
  ModelPlan plan;
  plan.seed = shape.seed;
  Planner planner(complete, *mix, &plan);
  if (Status planned = planner.plan(); !planned) return planned.error();
  make_header(complete, mix->file_type(), &plan);
  return plan;
}

}  // namespace potluck::test
