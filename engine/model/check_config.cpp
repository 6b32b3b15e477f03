// What is asked of a configuration. A file describes its own model, so every number is a
// stranger's. The checks go from single numbers to what numbers must be together; later ones divide
// by what earlier ones have bounded.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config_checks.h"
#include "engine/model/rope.h"

namespace potluck {
namespace {

// The attention kernels work on whole groups of 8 positions or dimensions.
constexpr uint32_t kHeadLanes = 8;
// A bound on what sines and cosines are multiplied by; published models use less than 2.
constexpr double kRopeMagnitude = 1e6;
// A bound on how queries grow with their position; Llama 4 has 0.1.
constexpr double kTemperatureScale = 1e3;
// A bound on the tokens that the convolution of a recurrent layer sees; published models use 3
// or 4.
constexpr uint32_t kConvolution = 64;

Status check_sizes(const ModelConfig& config) {
  bool dense = config.router.experts == 0;
  // A dense model has no experts, and a model with experts in every layer no dense width.
  const ConfigRange ranges[] = {
      {"layers", config.layers, 1, limits::kLayers},
      {"hidden size", config.hidden, 1, limits::kHidden},
      {"vocabulary", config.vocabulary, 1, limits::kVocabulary},
      {"trained context", config.trained_context, 1, limits::kContext},
      {"heads", config.heads, 1, limits::kHeads},
      {"KV heads", config.kv_heads, 1, limits::kHeads},
      {"head size", config.head_dim, 1, limits::kHeadDimension},
      {"value size", config.value_dim, 1, limits::kHeadDimension},
      {"full attention interval", config.full_attention_interval, 1, limits::kLayers},
      {"sliding window", config.sliding_window, 0, limits::kContext},
      {"experts", config.router.experts, 0, limits::kExperts},
      {"experts used", config.router.top_k, dense ? 0u : 1u, limits::kExpertsUsed},
      {"expert width", config.expert_width, dense ? 0u : 1u, limits::kExpertWidth},
      {"dense layers", config.leading_dense_layers, 0, config.layers},
      {"expert layer step", config.expert_layer_step, 1, limits::kLayers},
      {"feed-forward width", config.ffn_width, config.has_dense_layers() ? 1u : 0u,
       limits::kExpertWidth},
      {"latent width of experts", config.latent_width, 0, limits::kHidden},
      {"shared expert width", config.shared_width, 0, limits::kExpertWidth},
      {"per-layer input width", config.per_layer_width, 0, limits::kHidden},
  };
  return check_ranges(ranges);
}

// Numbers that layers have for themselves.
Status check_layers(const ModelConfig& config) {
  for (size_t count :
       {config.layer_heads.size(), config.layer_kv_heads.size(), config.window_layers.size(),
        config.layer_ropes.size(), config.layer_head_dims.size(), config.layer_value_dims.size(),
        config.key_values.size(), config.layer_ffn_widths.size()}) {
    if (count == 0 || count == config.layers) continue;
    return unsupported(fmt::format("{} layers have {} numbers", config.layers, count));
  }
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    uint32_t heads = config.heads_of(layer);
    uint32_t kv_heads = config.kv_heads_of(layer);
    const ConfigRange ranges[] = {{"heads", heads, 1, config.heads},
                                  {"KV heads", kv_heads, 1, config.kv_heads},
                                  {"head size", config.head_dim_of(layer), 1, config.head_dim},
                                  {"value size", config.value_dim_of(layer), 1, config.value_dim},
                                  {"feed-forward width", config.ffn_width_of(layer),
                                   config.has_dense_layers() ? 1u : 0u, config.ffn_width}};
    if (Status checked = check_ranges(ranges); !checked) return checked;
    if (heads % kv_heads == 0) continue;
    return unsupported(
        fmt::format("{} heads cannot be divided among {} KV heads", heads, kv_heads));
  }
  return {};
}

// Keys and values of another layer must be there before, and be shaped as the reading layer's own
// would be.
Status check_kv_layers(const ModelConfig& config) {
  if (config.kv_layers.empty()) return {};
  bool fits = config.kv_layers.size() == config.layers && config.mixers.empty() &&
              config.latent.rank == 0 && config.compressed.query_rank == 0 &&
              config.indexer.kind == IndexerKind::kNone;
  for (uint32_t layer = 0; fits && layer < config.layers; ++layer) {
    const uint32_t from = config.kv_layers[layer];
    fits = from <= layer && config.kv_layers[from] == from &&
           config.head_dim_of(from) == config.head_dim_of(layer) &&
           config.value_dim_of(from) == config.value_dim_of(layer) &&
           config.kv_heads_of(from) == config.kv_heads_of(layer);
  }
  if (fits) return {};
  return unsupported("a layer cannot attend to the keys and values that it should share");
}

Status check_head_sizes(const ModelConfig& config, uint32_t layer) {
  const uint32_t keys = config.head_dim_of(layer);
  const uint32_t values = config.value_dim_of(layer);
  if (keys % kHeadLanes != 0 || values % kHeadLanes != 0) {
    return unsupported(fmt::format("head sizes must be multiples of {}, but are {} and {}",
                                   kHeadLanes, keys, values));
  }
  if (config.has_key_values(layer) && keys != values) {
    return unsupported(fmt::format("keys of {} values cannot be values of {}", keys, values));
  }
  // All else that differs by layer was read; ropes of models whose layers are alike are checked
  // against the one size.
  if (config.layer_head_dims.empty() || config.rope_of(layer) == LayerRope::kNone) return {};
  const bool window = config.rope_of(layer) == LayerRope::kWindow;
  const uint32_t turned = window ? config.window_rope.dimensions : config.rope.dimensions;
  if (turned <= keys) return {};
  return unsupported(fmt::format("rope turns {} values of heads that have {}", turned, keys));
}

Status check_attention(const ModelConfig& config) {
  if (Status checked = check_layers(config); !checked) return checked;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (Status checked = check_head_sizes(config, layer); !checked) return checked;
  }
  if (Status checked = check_kv_layers(config); !checked) return checked;
  const QueryTemperature& temperature = config.query_temperature;
  if (!(temperature.scale >= 0 && temperature.scale <= kTemperatureScale)) {
    return unsupported(fmt::format("queries that grow by {}", temperature.scale));
  }
  // A gate has a value for each value of a head, and stands where queries do in attn_q.
  if (config.attention_gate == AttentionGate::kInQueries && config.head_dim != config.value_dim) {
    return unsupported(
        fmt::format("heads of {} values cannot be gated by {}", config.value_dim, config.head_dim));
  }
  return {};
}

Status check_rope(const ModelConfig& config, const RopeConfig& rope) {
  if (rope.dimensions % 2 != 0 || rope.dimensions > config.head_dim) {
    return unsupported(fmt::format("rope must turn an even number of at most {} values, but is {}",
                                   config.head_dim, rope.dimensions));
  }
  if (!(rope.base >= 1) || !std::isfinite(rope.base)) {
    return unsupported(fmt::format("rope's base must be 1 or more, but is {}", rope.base));
  }
  bool finite = std::isfinite(rope.magnitude) && std::isfinite(rope.beta_fast) &&
                std::isfinite(rope.beta_slow) && std::isfinite(rope.factor);
  if (!finite || !(rope.factor >= 1) || !(rope.beta_fast > 0) || !(rope.beta_slow > 0)) {
    return unsupported(fmt::format("rope's scaling by {} (fast {}, slow {}) is not supported",
                                   rope.factor, rope.beta_fast, rope.beta_slow));
  }
  if (rope.scaling == RopeScaling::kYarn && !(rope.original_context >= 1)) {
    return unsupported(
        fmt::format("YaRN needs the original context, but it is {}", rope.original_context));
  }
  if (rope.scaling == RopeScaling::kLongRope && config.compressed.query_rank > 0) {
    return unsupported("compressed attention with divisors by context is not supported");
  }
  // Numbers that are valid one by one may be useless together.
  if (!RopeFrequencies(rope).in_range() || std::abs(rope.magnitude) > kRopeMagnitude) {
    return unsupported(fmt::format(
        "rope's base {}, factor {}, fast {}, slow {} and magnitude {} make no frequencies",
        rope.base, rope.factor, rope.beta_fast, rope.beta_slow, rope.magnitude));
  }
  return {};
}

Status check_latent(const ModelConfig& config) {
  const LatentConfig& latent = config.latent;
  if (latent.rank == 0) return {};
  if (!config.layer_heads.empty()) {
    return unsupported("latent attention whose layers differ in their heads is not supported");
  }
  const ConfigRange ranges[] = {
      {"latent query rank", latent.query_rank, 0, limits::kHidden},
      {"latent shared key size", latent.shared_dimensions, 0, limits::kHeadDimension},
      {"latent key size", latent.plain_dimensions, kHeadLanes, limits::kHeadDimension},
      {"latent value size", latent.value_dimensions, kHeadLanes, limits::kHeadDimension},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  // Heads are cut out of matrices in panels of 8 rows.
  if (latent.plain_dimensions % kHeadLanes == 0 && latent.value_dimensions % kHeadLanes == 0)
    return {};
  return unsupported(fmt::format("latent head sizes must be multiples of {}, but are {} and {}",
                                 kHeadLanes, latent.plain_dimensions, latent.value_dimensions));
}

Status check_indexer(const ModelConfig& config) {
  const IndexerConfig& indexer = config.indexer;
  if (indexer.kind == IndexerKind::kNone) return {};
  const bool by_block = indexer.kind == IndexerKind::kBlocks;
  const ConfigRange ranges[] = {
      {"indexer heads", indexer.heads, 1, limits::kHeads},
      {"indexer head size", indexer.dimensions, 1, limits::kHeadDimension},
      {"indexer's top k", indexer.top_k, 1, limits::kContext},
      {"indexer's block", indexer.block, by_block ? 1u : 0u, limits::kContext},
      {"indexer's local blocks", indexer.local_blocks, 0, by_block ? indexer.top_k : 0u},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  if (!indexer.layers.empty() && indexer.layers.size() != config.layers) {
    return unsupported(fmt::format("{} layers have indexers as {} numbers say", config.layers,
                                   indexer.layers.size()));
  }
  if (config.rope.dimensions > indexer.dimensions) {
    return unsupported(fmt::format("rope turns {} values, but an indexer's heads have {}",
                                   config.rope.dimensions, indexer.dimensions));
  }
  if (by_block && (indexer.heads != config.kv_heads || !config.layer_kv_heads.empty())) {
    return unsupported(fmt::format("{} indexer heads cannot choose for {} KV heads", indexer.heads,
                                   config.kv_heads));
  }
  if (indexer.kind == IndexerKind::kEntries) {
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
      if (!config.has_indexer(layer)) continue;
      const uint32_t ratio = config.compress_ratio(layer);
      // Index keys of a chunk stand in whole panels.
      if (ratio > 0 && kAttentionChunk / ratio % kPanelRows == 0) continue;
      return unsupported(
          fmt::format("layer {} has an indexer and entries of {} positions", layer, ratio));
    }
    return {};
  }
  // Layers without one go by the last one before them, and it reads the compressed queries.
  const bool begins = by_block || config.has_indexer(0);
  if (begins && (by_block || config.latent.query_rank > 0)) return {};
  return unsupported("an indexer needs compressed queries, and the first layer one of its own");
}

Status check_delta(const ModelConfig& config) {
  const DeltaNetConfig& delta = config.delta;
  if (delta.key_heads == 0) return {};
  const ConfigRange ranges[] = {
      {"delta net key heads", delta.key_heads, 1, limits::kHeads},
      {"delta net value heads", delta.value_heads, 1, limits::kHeads},
      {"delta net key size", delta.key_dim, 1, limits::kHeadDimension},
      {"delta net value size", delta.value_dim, 1, limits::kHeadDimension},
      {"delta net convolution", delta.convolution, 2, kConvolution},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  if (delta.value_heads % delta.key_heads == 0) return {};
  return unsupported(fmt::format("{} delta net value heads cannot be divided among {} key heads",
                                 delta.value_heads, delta.key_heads));
}

Status check_mamba(const ModelConfig& config) {
  const MambaConfig& mamba = config.mamba;
  if (mamba.heads == 0) return {};
  const ConfigRange ranges[] = {
      {"Mamba heads", mamba.heads, 1, limits::kHeads},
      {"Mamba head size", mamba.head_dim, 1, limits::kHeadDimension},
      {"Mamba groups", mamba.groups, 1, limits::kHeads},
      {"Mamba state size", mamba.state, 1, limits::kHeadDimension},
      {"Mamba convolution", mamba.convolution, 2, kConvolution},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  if (mamba.heads % mamba.groups == 0) return {};
  return unsupported(
      fmt::format("{} Mamba heads cannot be divided among {} groups", mamba.heads, mamba.groups));
}

Status check_kimi(const ModelConfig& config) {
  const KimiDeltaConfig& kimi = config.kimi;
  if (kimi.heads == 0) return {};
  const ConfigRange ranges[] = {
      {"Kimi delta heads", kimi.heads, 1, limits::kHeads},
      {"Kimi delta head size", kimi.head_dim, 1, limits::kHeadDimension},
      {"Kimi delta convolution", kimi.convolution, 2, kConvolution},
  };
  return check_ranges(ranges);
}

// A layer is something at least.
Status check_feed_forwards(const ModelConfig& config) {
  if (config.dense_beside_experts &&
      (config.shared_width > 0 || config.parallel_block || config.latent_width > 0 ||
       config.router.scales_input || !config.post_norms)) {
    return unsupported("experts beside a dense part have norms after both, and nothing else");
  }
  if (config.feed_forwards.empty()) {
    if (std::ranges::find(config.mixers, MixerKind::kNone) == config.mixers.end()) return {};
    return unsupported("a layer without a mixer needs a feed-forward part");
  }
  if (config.feed_forwards.size() != config.layers) {
    return unsupported(
        fmt::format("the feed-forward parts of {} layers are known, but there are {}",
                    config.feed_forwards.size(), config.layers));
  }
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    FeedForwardKind kind = config.feed_forwards[layer];
    if (kind == FeedForwardKind::kDense && config.ffn_width == 0) {
      return unsupported(fmt::format("layer {} is dense, but of no width", layer));
    }
    if (kind == FeedForwardKind::kExperts && config.router.experts == 0) {
      return unsupported(fmt::format("layer {} needs experts, but there are none", layer));
    }
    if (kind != FeedForwardKind::kNone || config.mixer(layer) != MixerKind::kNone) continue;
    return unsupported(fmt::format("layer {} has neither a mixer nor a feed-forward part", layer));
  }
  return {};
}

Status check_limits(const ModelConfig& config, ExpertActivation activation,
                    const std::vector<float>& values) {
  if (values.size() != (has_limit(activation) ? config.layers : 0)) {
    return unsupported(fmt::format("{} layers have {} limits of what an expert activates",
                                   config.layers, values.size()));
  }
  for (float value : values) {
    if (value >= 0 && std::isfinite(value)) continue;
    return unsupported(fmt::format("a limit of {} of what an expert activates", value));
  }
  return {};
}

// Each layer's kind must have its sizes, and all recurrent layers one state.
Status check_mixers(const ModelConfig& config) {
  if (config.mixers.empty()) return {};
  if (config.mixers.size() != config.layers) {
    return unsupported(fmt::format("the kinds of {} layers are known, but there are {}",
                                   config.mixers.size(), config.layers));
  }
  const ConfigRange range[] = {{"short convolution", config.short_convolution, 2, kConvolution}};
  for (MixerKind kind : config.mixers) {
    if (kind == MixerKind::kShortConvolution) {
      if (Status checked = check_ranges(range); !checked) return checked;
    }
    bool has_sizes = kind != MixerKind::kDeltaNet || config.delta.key_heads > 0;
    has_sizes = has_sizes && (kind != MixerKind::kMamba || config.mamba.heads > 0);
    has_sizes = has_sizes && (kind != MixerKind::kKimiDelta || config.kimi.heads > 0);
    has_sizes = has_sizes && (kind != MixerKind::kLatentAttention || config.latent.rank > 0);
    has_sizes = has_sizes && kind != MixerKind::kCompressedAttention;
    if (!has_sizes) return unsupported("a layer is of a kind whose sizes are not known");
  }
  return {};
}

Status check_router(const RouterConfig& router) {
  if (router.top_k > router.experts) {
    return unsupported(fmt::format("{} experts are to be used for each token, but there are {}",
                                   router.top_k, router.experts));
  }
  const bool gates_chosen = router.gating == Gating::kSparseMixer ||
                            router.gating == Gating::kSoftmaxOfChosen ||
                            router.gating == Gating::kSigmoidOfChosen;
  if (router.hash_layers > 0 && gates_chosen) {
    return unsupported("experts that tokens name are weighed by a gate of their own");
  }
  if (router.experts == 0) return {};
  bool divides = router.groups >= 1 && router.experts % router.groups == 0;
  if (!divides || router.groups_used < 1 || router.groups_used > router.groups) {
    return unsupported(fmt::format("{} experts cannot be chosen from {} of {} groups",
                                   router.experts, router.groups_used, router.groups));
  }
  // Fewer than top_k candidates would leave the last choice to experts that were taken out.
  uint32_t in_reach = router.experts / router.groups * router.groups_used;
  if (router.top_k > in_reach) {
    return unsupported(
        fmt::format("{} experts are to be used for each token, but the chosen "
                    "groups have {}",
                    router.top_k, in_reach));
  }
  if (router.scales_input && router.top_k != 1) {
    return unsupported(fmt::format(
        "the input of {} experts cannot be multiplied by their weights, only that of one",
        router.top_k));
  }
  if (!std::isfinite(router.weight_scale)) {
    return unsupported(fmt::format("expert weights cannot be scaled by {}", router.weight_scale));
  }
  return {};
}

Status check_scales(const ModelConfig& config) {
  if (!(config.norm_epsilon > 0) || !std::isfinite(config.norm_epsilon)) {
    return unsupported(
        fmt::format("the norm's epsilon must be above 0, but is {}", config.norm_epsilon));
  }
  if (!(config.logit_cap >= 0) || !std::isfinite(config.logit_cap)) {
    return unsupported(fmt::format("logits cannot be capped at {}", config.logit_cap));
  }
  // A scale of 0 would silence a part of the model, and the logits are divided by one.
  for (float scale : {config.attention_scale, config.embedding_scale, config.residual_scale,
                      config.logit_divisor, config.expert_scale, config.value_scale}) {
    if (std::isfinite(scale) && scale != 0) continue;
    return unsupported(fmt::format("a scale of {} is not supported", scale));
  }
  return {};
}

}  // namespace

Status check_config(const ModelConfig& config) {
  if (Status checked = check_sizes(config); !checked) return checked;
  if (Status checked = check_attention(config); !checked) return checked;
  if (Status checked = check_rope(config, config.rope); !checked) return checked;
  if (config.window_rope.dimensions > 0) {
    if (Status checked = check_rope(config, config.window_rope); !checked) return checked;
  }
  if (Status checked = check_latent(config); !checked) return checked;
  if (Status checked = check_compressed(config); !checked) return checked;
  if (Status checked = check_indexer(config); !checked) return checked;
  if (Status checked = check_hyper(config); !checked) return checked;
  if (Status checked = check_delta(config); !checked) return checked;
  if (Status checked = check_mamba(config); !checked) return checked;
  if (Status checked = check_kimi(config); !checked) return checked;
  if (Status checked = check_mixers(config); !checked) return checked;
  if (Status checked = check_feed_forwards(config); !checked) return checked;
  for (Status checked : {check_limits(config, config.expert_activation, config.expert_limits),
                         check_limits(config, config.ffn_activation, config.ffn_limits),
                         check_router(config.router)}) {
    if (!checked) return checked;
  }
  return check_scales(config);
}

}  // namespace potluck
