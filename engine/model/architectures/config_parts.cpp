// Parts of a configuration that several families share.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/kernels/exact_math.h"
#include "engine/model/architectures/config_reader.h"

namespace potluck {
namespace {

// The numbers that files use for ways of gating (expert_gating_func).
constexpr uint32_t kSoftmaxGating = 1;
constexpr uint32_t kSigmoidGating = 2;
constexpr uint32_t kSqrtSoftplusGating = 4;

}  // namespace

void ConfigReader::read_experts(ModelConfig* config) {
  config->router.experts = count("expert_count", limits::kExperts);
  config->router.top_k = count("expert_used_count", limits::kExpertsUsed);
}

void ConfigReader::read_router(RouterConfig* router) {
  if (has("expert_gating_func")) {
    uint32_t gating = count("expert_gating_func", UINT32_MAX);
    if (gating == kSigmoidGating) {
      router->gating = Gating::kSigmoid;
    } else if (gating == kSoftmaxGating) {
      router->gating = Gating::kSoftmax;
    } else if (gating == kSqrtSoftplusGating) {
      router->gating = Gating::kSqrtSoftplus;
    } else {
      fail({ErrorCode::kUnsupported,
            fmt::format("{} is {}; supported are {} (softmax), {} (sigmoid) and {} (the root of "
                        "softplus)",
                        full_key("expert_gating_func"), gating, kSoftmaxGating, kSigmoidGating,
                        kSqrtSoftplusGating)});
    }
  }
  router->normalize_weights = boolean_or("expert_weights_norm", router->normalize_weights);
  // Some files say 0 where nothing is to be scaled.
  double scale = number_or("expert_weights_scale", router->weight_scale);
  router->weight_scale = scale == 0 ? 1.0F : static_cast<float>(scale);
  router->groups = std::max(1u, count_or_zero("expert_group_count", limits::kExperts));
  router->groups_used = std::max(1u, count_or_zero("expert_group_used_count", limits::kExperts));
}

void ConfigReader::read_shared_experts(ModelConfig* config) {
  uint32_t shared = count_or_zero("expert_shared_count", limits::kExperts);
  uint64_t width = uint64_t{shared} * config->expert_width;
  if (has("expert_shared_feed_forward_length")) {
    width = count_or_zero("expert_shared_feed_forward_length", limits::kExpertWidth);
  }
  if (width > limits::kExpertWidth) {
    fail({ErrorCode::kLimit, fmt::format("{} shared experts of width {} are wider than {}", shared,
                                         config->expert_width, limits::kExpertWidth)});
    width = 0;
  }
  config->shared_width = static_cast<uint32_t>(width);
}

// What keys count as one shared expert differs between families; the tensor says how wide all of
// them are together.
void ConfigReader::read_shared_width(uint32_t layer, ModelConfig* config) {
  const GgufTensor* tensor = model_.find(fmt::format("blk.{}.ffn_up_shexp.weight", layer));
  // Keys may ask for a tensor that is missing, which loading then names.
  if (tensor == nullptr) return read_shared_experts(config);
  config->shared_width =
      checked("expert_shared_feed_forward_length", tensor->rows(), 1, limits::kExpertWidth);
}

void ConfigReader::read_sparse_layers(ModelConfig* config) {
  read_experts(config);
  read_router(&config->router);
  config->expert_width = count(
      has("expert_feed_forward_length") ? "expert_feed_forward_length" : "feed_forward_length",
      limits::kExpertWidth);
  if (has("leading_dense_block_count")) {
    config->leading_dense_layers = count_or_zero("leading_dense_block_count", config->layers);
  } else {
    uint32_t& dense = config->leading_dense_layers;
    while (dense < config->layers &&
           !has_tensor(fmt::format("blk.{}.ffn_gate_inp.weight", dense))) {
      ++dense;
    }
  }
  const uint32_t dense = config->leading_dense_layers;
  if (config->expert_layer_step > 1) {
    config->ffn_width = count("feed_forward_length", limits::kExpertWidth);
  } else if (dense > 0) {
    config->ffn_width = count_of_first("feed_forward_length", limits::kExpertWidth, dense);
  }
  // The first layer with experts has what all of them have.
  uint32_t first = dense;
  while (first < config->layers && !config->has_experts(first)) ++first;
  config->router.selection_bias = has_tensor(fmt::format("blk.{}.exp_probs_b.bias", first)) ||
                                  has_tensor(fmt::format("blk.{}.exp_probs_b", first));
  read_shared_width(first, config);
}

void ConfigReader::read_windows(uint32_t period, ModelConfig* config) {
  constexpr const char* kPatternKey = "attention.sliding_window_pattern";
  config->sliding_window = count("attention.sliding_window", limits::kContext);
  config->full_attention_interval = period;
  if (!has(kPatternKey)) return;
  if (!is_array(kPatternKey)) {
    config->full_attention_interval = layer_period(kPatternKey);
    return;
  }
  config->window_layers = switches(kPatternKey, config->layers);
}

void ConfigReader::read_window_heads(ModelConfig* config) {
  if (!has("attention.key_length_swa")) return;
  const uint32_t keys = count("attention.key_length_swa", limits::kHeadDimension);
  const uint32_t values = count("attention.value_length_swa", limits::kHeadDimension);
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    const bool full = config->attends_to_all(layer);
    config->layer_head_dims.push_back(full ? config->head_dim : keys);
    config->layer_value_dims.push_back(full ? config->value_dim : values);
  }
  config->head_dim = std::max(config->head_dim, keys);
  config->value_dim = std::max(config->value_dim, values);
}

void ConfigReader::read_shared_kv_layers(ModelConfig* config) {
  const uint32_t shared = count_or_zero("attention.shared_kv_layers", config->layers);
  if (shared == 0) return;
  const uint32_t own = config->layers - shared;
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    uint32_t from = layer;
    if (layer >= own) {
      from = own;
      while (from > 0 && config->attends_to_all(from - 1) != config->attends_to_all(layer)) --from;
      if (from == 0) {
        return fail({ErrorCode::kUnsupported,
                     fmt::format("{}: no layer before has keys and values for layer {}",
                                 full_key("attention.shared_kv_layers"), layer)});
      }
      --from;
    }
    config->kv_layers.push_back(from);
  }
}

void ConfigReader::read_dense_widths(ModelConfig* config) {
  config->layer_ffn_widths =
      counts_of_layers("feed_forward_length", limits::kExpertWidth, config->layers);
  config->ffn_width = 0;
  for (uint32_t width : config->layer_ffn_widths) {
    config->ffn_width = std::max(config->ffn_width, width);
  }
}

void ConfigReader::read_window_rope(ModelConfig* config) {
  if (has("rope.freq_base_swa")) add_window_rope(config);
}

void ConfigReader::add_window_rope(ModelConfig* config) {
  config->window_rope = config->rope;
  config->window_rope.base = number_or("rope.freq_base_swa", config->rope.base);
  config->window_rope.dimensions =
      count_or("rope.dimension_count_swa", limits::kHeadDimension, config->rope.dimensions);
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    config->layer_ropes.push_back(config->attends_to_all(layer) ? LayerRope::kMain
                                                                : LayerRope::kWindow);
  }
}

void ConfigReader::read_rope_of_windows_only(uint32_t turning, ModelConfig* config) {
  read_window_rope(config);
  config->layer_ropes.resize(config->layers, LayerRope::kMain);
  for (uint32_t layer = turning; layer < config->layers; ++layer) {
    if (config->attends_to_all(layer)) config->layer_ropes[layer] = LayerRope::kNone;
  }
}

void ConfigReader::read_delta_net(ModelConfig* config) {
  DeltaNetConfig& delta = config->delta;
  delta.convolution = count("ssm.conv_kernel", limits::kHeadDimension);
  delta.key_heads = count("ssm.group_count", limits::kHeads);
  delta.value_heads = count("ssm.time_step_rank", limits::kHeads);
  delta.key_dim = count("ssm.state_size", limits::kHeadDimension);
  uint32_t inner = count("ssm.inner_size", limits::kHeads * limits::kHeadDimension);
  delta.value_dim = delta.value_heads == 0 ? 0 : inner / delta.value_heads;
  if (delta.value_dim * delta.value_heads != inner) {
    fail({ErrorCode::kUnsupported,
          fmt::format("{} of {} cannot be divided among {} heads", full_key("ssm.inner_size"),
                      inner, delta.value_heads)});
  }
  config->full_attention_interval =
      layer_period("full_attention_interval", config->full_attention_interval);
}

void ConfigReader::read_indexer(IndexerKind kind, IndexerConfig* indexer) {
  indexer->kind = kind;
  indexer->heads = count("attention.indexer.head_count", limits::kHeads);
  indexer->dimensions = count("attention.indexer.key_length", limits::kHeadDimension);
  indexer->top_k = count("attention.indexer.top_k", limits::kContext);
}

// The cache holds one compressed vector per position: what rope does not touch, then what it turns.
void ConfigReader::read_latent_attention(ModelConfig* config) {
  LatentConfig& latent = config->latent;
  latent.rank = count("attention.kv_lora_rank", limits::kHeadDimension);
  latent.query_rank = count_or_zero("attention.q_lora_rank", limits::kHidden);
  uint32_t key = count("attention.key_length_mla", limits::kHeadDimension);
  config->rope.dimensions = count("rope.dimension_count", limits::kHeadDimension);
  latent.shared_dimensions = config->rope.dimensions;
  latent.plain_dimensions = key - std::min(key, latent.shared_dimensions);
  latent.value_dimensions = count("attention.value_length_mla", limits::kHeadDimension);
  config->kv_heads = 1;
  config->layer_kv_heads.clear();
  config->head_dim = latent.rank + latent.shared_dimensions;
  config->value_dim = latent.rank;
  // By the size of a head as it was trained, not by that of the latent vector that is compared.
  config->attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(key)));
  read_latent_yarn(config);
}

// Where others multiply queries and keys by a magnitude for YaRN, DeepSeek multiplies the scores by
// its square.
void ConfigReader::read_latent_yarn(ModelConfig* config) {
  if (config->rope.scaling != RopeScaling::kYarn) return;
  if (!has("rope.scaling.yarn_log_multiplier")) return;
  double multiplier = number("rope.scaling.yarn_log_multiplier");
  if (!(config->rope.factor >= 1)) return;  // finish() refuses it
  config->rope.magnitude = 1;
  double magnitude = 1.0 + multiplier * exact_log64(config->rope.factor);
  config->attention_scale *= static_cast<float>(magnitude * magnitude);
}

// Layers with entries turn by a base of their own and stretch; those without do not stretch.
void ConfigReader::read_compressed_attention(ModelConfig* config) {
  CompressedConfig& compressed = config->compressed;
  compressed.query_rank = count("attention.q_lora_rank", limits::kHidden);
  compressed.output_groups = count("attention.output_group_count", limits::kHeads);
  compressed.output_rank = count("attention.output_lora_rank", limits::kHidden);
  compressed.ratios =
      counts_of_layers("attention.compress_ratios", limits::kContext, config->layers);
  config->sliding_window = count("attention.sliding_window", limits::kContext);
  config->sinks = Sinks::kAllLayers;
  config->rope.magnitude = 1;
  config->window_rope = config->rope;
  config->window_rope.scaling = RopeScaling::kNone;
  config->rope.base = number("attention.compress_rope_freq_base");
  for (uint32_t ratio : compressed.ratios) {
    config->layer_ropes.push_back(ratio == 0 ? LayerRope::kWindow : LayerRope::kMain);
  }
}

void ConfigReader::read_hyper_connections(HyperConfig* hyper) {
  hyper->streams = count("hyper_connection.count", limits::kStreams);
  hyper->iterations = count("hyper_connection.sinkhorn_iterations", limits::kSinkhornIterations);
  hyper->epsilon = static_cast<float>(number("hyper_connection.epsilon"));
}

void ConfigReader::read_limits(ExpertActivation activation, ModelConfig* config) {
  config->expert_limits = limits_of_layers("swiglu_clamp_exp", config->layers);
  if (!config->expert_limits.empty()) config->expert_activation = activation;
  config->ffn_limits = limits_of_layers("swiglu_clamp_shexp", config->layers);
  if (!config->ffn_limits.empty()) config->ffn_activation = activation;
}

void ConfigReader::read_mamba(ModelConfig* config) {
  MambaConfig& mamba = config->mamba;
  mamba.convolution = count("ssm.conv_kernel", limits::kHeadDimension);
  mamba.groups = count("ssm.group_count", limits::kHeads);
  mamba.heads = count("ssm.time_step_rank", limits::kHeads);
  mamba.state = count("ssm.state_size", limits::kHeadDimension);
  uint32_t inner = count("ssm.inner_size", limits::kHeads * limits::kHeadDimension);
  mamba.head_dim = mamba.heads == 0 ? 0 : inner / mamba.heads;
  if (mamba.inner() == inner) return;
  fail({ErrorCode::kUnsupported, fmt::format("{} of {} cannot be divided among {} heads",
                                             full_key("ssm.inner_size"), inner, mamba.heads)});
}

void ConfigReader::read_mixers(MixerKind without_kv_heads, ModelConfig* config) {
  config->mixers.clear();
  for (uint32_t heads :
       counts_of_layers("attention.head_count_kv", limits::kHeads, config->layers)) {
    config->mixers.push_back(heads == 0 ? without_kv_heads : MixerKind::kAttention);
  }
}

}  // namespace potluck
