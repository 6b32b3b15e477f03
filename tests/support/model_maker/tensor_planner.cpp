#include "tests/support/model_maker/tensor_planner.h"

#include <numeric>

#include "engine/kernels/block_format.h"
#include "tests/support/model_maker/routing.h"
#include "tests/support/model_maker/vocabulary.h"

namespace potluck::test {
namespace {

// Channels of the hidden state that, in a skewed model, are the same for every token.
constexpr uint32_t kConstantChannels = 32;
// Of tables of whole numbers.
constexpr FillFormat kTableFormat{26, "I32", 1, 4, 1, nullptr};

std::vector<float> uniform(const CounterRandom& random, uint64_t count, double low, double high) {
  std::vector<float> values(count);
  for (uint64_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(low + (high - low) * random.uniform(i));
  }
  return values;
}

}  // namespace

void TensorPlanner::matrix(const std::string& name, uint64_t rows, uint64_t columns,
                           double deviation, uint64_t count) {
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
void TensorPlanner::branch_output(const std::string& name, uint64_t columns, double scale,
                                  uint64_t count) {
  double share = 1 / (std::sqrt(2.0 * c_.layers) * c_.residual_scale);
  matrix(name, c_.hidden, columns, share * scale * fan_in(static_cast<double>(columns)), count);
  if (needs_constants() && !error_) plan_.tensors.back().silent_rows = kConstantChannels;
}

void TensorPlanner::values(const std::string& name, std::vector<uint64_t> dimensions,
                           std::function<std::vector<float>(const CounterRandom&)> make) {
  TensorPlan tensor;
  tensor.name = name;
  tensor.dimensions = std::move(dimensions);
  tensor.format = find_fill_format("F32");
  tensor.values = [make = std::move(make), random = plan_.random(name)] { return make(random); };
  plan_.tensors.push_back(std::move(tensor));
}

void TensorPlanner::uniform_values(const std::string& name, std::vector<uint64_t> dimensions,
                                   double low, double high) {
  uint64_t count = std::accumulate(dimensions.begin(), dimensions.end(), uint64_t{1},
                                   std::multiplies<uint64_t>());
  values(name, std::move(dimensions),
         [=](const CounterRandom& random) { return uniform(random, count, low, high); });
}

// The constant channels pass norms unchanged, so that their size at the routers is known.
void TensorPlanner::norm(const std::string& name, uint64_t count) {
  uint32_t constant = needs_constants() && count == c_.hidden ? kConstantChannels : 0;
  values(name + ".weight", {count}, [=](const CounterRandom& random) {
    std::vector<float> weights = uniform(random, count, 0.8, 1.2);
    std::fill_n(weights.begin(), constant, 1.0F);
    return weights;
  });
}

void TensorPlanner::residual_norm(const std::string& name) {
  norm(name, c_.hidden);
  if (c_.norm_biases) uniform_values(name + ".bias", {c_.hidden}, -0.1, 0.1);
}

void TensorPlanner::embedding() {
  matrix("token_embd", c_.vocabulary, c_.hidden, 1 / c_.embedding_scale);
  if (!needs_constants() || error_) return;
  TensorPlan& tensor = plan_.tensors.back();
  shared_columns_ = std::max(kConstantChannels, tensor.format->block_elements);
  tensor.shared_columns = shared_columns_;
}

// The first channels of every token's embedding, as the engine will decode them.
Status TensorPlanner::find_constants() {
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

// Streams mix a little and differ in what they take up.
void TensorPlanner::hyper_connections(const std::string& prefix, bool is_last) {
  const uint64_t n = c_.hyper.streams;
  if (n == 1) return;
  const uint64_t numbers = is_last ? n : n * (n + 2);
  const double limit = std::sqrt(3.0 / c_.residual_columns());
  uniform_values(prefix + "fn.weight", {c_.residual_columns(), numbers}, -limit, limit);
  uniform_values(prefix + "scale.weight", {is_last ? uint64_t{1} : 3}, 0.1, 0.5);
  uniform_values(prefix + "base.weight", {numbers}, -0.5, 0.5);
}

void TensorPlanner::feed_forward(const std::string& suffix, uint32_t width) {
  if (has_gate(c_.ffn_activation)) {
    matrix(blk("ffn_gate") + suffix, width, c_.hidden, fan_in(c_.hidden));
  }
  matrix(blk("ffn_up") + suffix, width, c_.hidden, fan_in(c_.hidden));
  branch_output(blk("ffn_down") + suffix, width, 1);
}

// What layers read of the token itself.
void TensorPlanner::per_layer_inputs() {
  if (c_.per_layer_width == 0) return;
  const uint64_t columns = uint64_t{c_.layers} * c_.per_layer_width;
  matrix("per_layer_token_embd", c_.vocabulary, columns, fan_in(c_.per_layer_width));
  matrix("per_layer_model_proj", columns, c_.hidden, 1);
  norm("per_layer_proj_norm", c_.per_layer_width);
}

void TensorPlanner::per_layer_part() {
  if (c_.per_layer_width == 0) return;
  matrix(blk("inp_gate"), c_.per_layer_width, c_.hidden, fan_in(c_.hidden));
  branch_output(blk("proj"), c_.per_layer_width, 1);
  norm(blk("post_norm"), c_.hidden);
}

void TensorPlanner::experts() {
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
void TensorPlanner::router() {
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
void TensorPlanner::experts_of_tokens() {
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
void TensorPlanner::selection_bias(const std::vector<double>& offsets) {
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

void TensorPlanner::layer() {
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
void TensorPlanner::rope_divisors() {
  if (c_.architecture != "gemma4") return;
  const uint32_t pairs = c_.rope.dimensions / 2;
  values("rope_freqs.weight", {pairs}, [pairs](const CounterRandom&) {
    std::vector<float> divisors(pairs, 1e30F);
    std::fill_n(divisors.begin(), pairs / 4, 1.0F);
    return divisors;
  });
}

Status TensorPlanner::plan() {
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

}  // namespace potluck::test
