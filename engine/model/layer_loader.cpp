#include "engine/model/layer_loader.h"

#include <algorithm>
#include <cmath>

namespace potluck {
namespace {

// Rows of what hidden states become: queries (and their gates), keys, values.
struct ProjectionRows {
  uint32_t query;
  uint32_t key;
  uint32_t value;

  ProjectionRows(const ModelConfig& config, uint32_t layer)
      : query(config.heads_of(layer) * config.head_dim_of(layer)),
        key(config.kv_heads_of(layer) * config.head_dim_of(layer)),
        value(config.kv_heads_of(layer) * config.value_dim_of(layer)) {
    if (config.attention_gate == AttentionGate::kInQueries) query *= 2;
  }
  uint32_t all() const { return query + key + value; }
};

}  // namespace

HyperWeights load_hyper(TensorLoader& loader, const ModelConfig& config, const std::string& prefix,
                        bool is_last) {
  HyperWeights w;
  const uint32_t streams = config.hyper.streams;
  const uint32_t numbers = is_last ? streams : streams * (streams + 2);
  w.matrix = loader.matrix(prefix + "fn.weight", numbers, config.residual_columns());
  w.scale = loader.vector(prefix + "scale.weight", is_last ? 1 : 3);
  w.base = loader.vector(prefix + "base.weight", numbers);
  return w;
}

void LayerLoader::projections(AttentionWeights* w) {
  const ProjectionRows rows(config_, layer_);
  w->query = matrix("attn_q", rows.query, config_.hidden);
  if (config_.projection_biases) w->query_bias = bias("attn_q", rows.query);
  if (config_.kv_layer_of(layer_) != layer_) return;
  w->key = matrix("attn_k", rows.key, config_.hidden);
  if (config_.projection_biases) w->key_bias = bias("attn_k", rows.key);
  if (config_.has_key_values(layer_)) return;
  w->value = matrix("attn_v", rows.value, config_.hidden);
  if (config_.projection_biases) w->value_bias = bias("attn_v", rows.value);
}

// Queries, keys and values in one matrix, one below the other.
void LayerLoader::fused_projections(AttentionWeights* w) {
  const ProjectionRows rows(config_, layer_);
  auto share = [&](uint32_t first, uint32_t count) {
    return loader_.share(name("attn_qkv.weight"), {first, count, rows.all()}, config_.hidden);
  };
  w->query = share(0, rows.query);
  w->key = share(rows.query, rows.key);
  w->value = share(rows.query + rows.key, rows.value);
  if (!config_.projection_biases) return;
  const std::vector<float> biases = bias("attn_qkv", rows.all());
  if (biases.empty()) return;  // measured, or refused
  const auto keys = biases.begin() + rows.query;
  const auto values = keys + rows.key;
  w->query_bias.assign(biases.begin(), keys);
  w->key_bias.assign(keys, values);
  w->value_bias.assign(values, biases.end());
}

AttentionWeights LayerLoader::attention() {
  AttentionWeights w;
  const uint32_t heads = config_.heads_of(layer_);
  const uint32_t size = config_.head_dim_of(layer_);
  const uint32_t attended = heads * config_.value_dim_of(layer_);
  if (loader_.has(name("attn_qkv.weight"))) {
    fused_projections(&w);
  } else {
    projections(&w);
  }
  if (config_.head_norm == HeadNorm::kPerHead || config_.head_norm == HeadNorm::kFullWidth) {
    bool per_head = config_.head_norm == HeadNorm::kPerHead;
    uint32_t kv_heads = config_.kv_heads_of(layer_);
    bool stores = config_.kv_layer_of(layer_) == layer_;
    w.query_norm = vector("attn_q_norm", (per_head ? 1 : heads) * size);
    if (stores) w.key_norm = vector("attn_k_norm", (per_head ? 1 : kv_heads) * size);
  }
  if (config_.attention_gate == AttentionGate::kPerValue) {
    w.gate = matrix("attn_gate", attended, config_.hidden);
  } else if (config_.attention_gate == AttentionGate::kPerHead) {
    w.gate = matrix("attn_gate", heads, config_.hidden);
  }
  if (config_.has_sinks(layer_)) w.sinks = vector("attn_sinks", heads);
  w.output = matrix("attn_output", config_.hidden, attended);
  if (config_.output_bias) w.output_bias = bias("attn_output", config_.hidden);
  return w;
}

LatentWeights LayerLoader::latent() {
  LatentWeights w;
  const LatentConfig& latent = config_.latent;
  uint32_t shared = latent.shared_dimensions;
  uint32_t queries = config_.heads * (latent.plain_dimensions + shared);
  if (latent.query_rank > 0) {
    w.query_down = matrix("attn_q_a", latent.query_rank, config_.hidden);
    w.query_down_norm = vector("attn_q_a_norm", latent.query_rank);
    w.query = matrix("attn_q_b", queries, latent.query_rank);
  } else {
    w.query = matrix("attn_q", queries, config_.hidden);
  }
  w.compress = matrix("attn_kv_a_mqa", latent.rank + shared, config_.hidden);
  w.compress_norm = vector("attn_kv_a_norm", latent.rank);
  // Per head: queries are turned into the latent space by these, so keys of single heads are never
  // unfolded (the absorbed form of DeepSeek-V2).
  w.key_up = matrix("attn_k_b", latent.rank, latent.plain_dimensions, config_.heads);
  w.value_up = matrix("attn_v_b", latent.value_dimensions, latent.rank, config_.heads);
  w.output = matrix("attn_output", config_.hidden, config_.heads * latent.value_dimensions);
  return w;
}

IndexerWeights LayerLoader::indexer() {
  IndexerWeights w;
  const uint32_t size = config_.indexer.dimensions;
  const uint32_t heads = config_.indexer.heads;
  if (config_.indexer.kind == IndexerKind::kBlocks) {
    w.query = matrix("indexer.q_proj", heads * size, config_.hidden);
    w.key = matrix("indexer.k_proj", size, config_.hidden);
    w.query_norm = vector("indexer.q_norm", size);
    w.key_norm = vector("indexer.k_norm", size);
    return w;
  }
  if (config_.indexer.kind == IndexerKind::kEntries) {
    w.query = matrix("indexer.attn_q_b", heads * size, config_.compressed.query_rank);
    w.weights = matrix("indexer.proj", heads, config_.hidden);
    return w;
  }
  w.query = matrix("indexer.attn_q_b", heads * size, config_.latent.query_rank);
  w.key = matrix("indexer.attn_k", size, config_.hidden);
  w.weights = matrix("indexer.proj", heads, config_.hidden);
  w.key_norm = vector("indexer.k_norm", size);
  w.key_norm_bias = bias("indexer.k_norm", size);
  return w;
}

FeedForwardWeights LayerLoader::feed_forward(std::string_view suffix, uint32_t width) {
  FeedForwardWeights w;
  if (has_gate(config_.ffn_activation)) {
    w.gate = matrix(fmt::format("ffn_gate{}", suffix), width, config_.hidden);
  }
  w.up = matrix(fmt::format("ffn_up{}", suffix), width, config_.hidden);
  w.down = matrix(fmt::format("ffn_down{}", suffix), config_.hidden, width);
  return w;
}

RouterWeights LayerLoader::router() {
  RouterWeights w;
  uint32_t experts = config_.router.experts;
  w.matrix = matrix("ffn_gate_inp", experts, config_.hidden);
  if (config_.router.bias) w.bias = bias("ffn_gate_inp", experts);
  if (config_.router.input == RouterInput::kScaledNorm) {
    w.input_norm = loader_.vector(name("ffn_gate_inp.scale"), config_.hidden);
    const auto scale = static_cast<float>(1.0 / std::sqrt(double{1} * config_.hidden));
    for (float& weight : w.input_norm) weight *= scale;
  }
  if (layer_ < config_.router.hash_layers) {
    w.by_token.top_k = config_.router.top_k;
    w.by_token.experts = loader_.indices(name("ffn_gate_tid2eid.weight"), config_.vocabulary,
                                         config_.router.top_k, experts);
    return w;
  }
  if (!config_.router.selection_bias) return w;
  // Some converters leave the suffix out.
  const bool has_suffix = !loader_.has(name("exp_probs_b"));
  w.selection_bias = loader_.vector(name(has_suffix ? "exp_probs_b.bias" : "exp_probs_b"), experts);
  // An infinite bias would put one expert first in every choice, and NaN would break the order.
  bool finite = std::ranges::all_of(w.selection_bias, [](float b) { return std::isfinite(b); });
  if (!finite) loader_.refuse(name("exp_probs_b.bias"), "its values must be finite");
  return w;
}

void LayerLoader::mixer(LayerWeights* w) {
  const MixerKind kind = config_.mixer(layer_);
  if (kind == MixerKind::kNone) return;
  w->mixer_norm = vector("attn_norm", config_.hidden);
  if (config_.norm_biases) w->mixer_norm_bias = bias("attn_norm", config_.hidden);
  if (config_.post_norms) w->mixer_post_norm = vector("post_attention_norm", config_.hidden);
  switch (kind) {
    case MixerKind::kNone:
      break;
    case MixerKind::kAttention:
      w->attention = attention();
      break;
    case MixerKind::kLatentAttention:
      w->latent = latent();
      break;
    case MixerKind::kDeltaNet:
      w->delta = delta();
      break;
    case MixerKind::kShortConvolution:
      w->short_convolution = short_convolution();
      break;
    case MixerKind::kMamba:
      w->mamba = mamba();
      break;
    case MixerKind::kKimiDelta:
      w->kimi = kimi();
      break;
    case MixerKind::kCompressedAttention:
      w->compressed = compressed();
      break;
  }
  if (config_.has_indexer(layer_)) w->indexer = indexer();
}

// What experts have beside their own matrices.
void LayerLoader::experts(LayerWeights* w) {
  w->router = router();
  if (config_.latent_width > 0) {
    w->latent_down = matrix("ffn_latent_down", config_.latent_width, config_.hidden);
    w->latent_up = matrix("ffn_latent_up", config_.hidden, config_.latent_width);
  }
  if (config_.dense_beside_experts) {
    w->shared = feed_forward("", config_.ffn_width_of(layer_));
    w->shared_post_norm = vector("post_ffw_norm_1", config_.hidden);
    w->expert_norm = vector("pre_ffw_norm_2", config_.hidden);
    w->expert_post_norm = vector("post_ffw_norm_2", config_.hidden);
  }
  if (config_.shared_width == 0) return;
  w->shared = feed_forward("_shexp", config_.shared_width);
  if (config_.shared_gate) w->shared.output_gate = matrix("ffn_gate_inp_shexp", 1, config_.hidden);
}

PerLayerWeights LayerLoader::per_layer() {
  PerLayerWeights w;
  w.gate = matrix("inp_gate", config_.per_layer_width, config_.hidden);
  w.output = matrix("proj", config_.hidden, config_.per_layer_width);
  w.norm = vector("post_norm", config_.hidden);
  return w;
}

void LayerLoader::hyper_connections(LayerWeights* w) {
  const std::string prefix = name("hc_");
  if (config_.mixer(layer_) != MixerKind::kNone) {
    w->mixer_hyper = load_hyper(loader_, config_, prefix + "attn_", false);
  }
  if (config_.has_feed_forward(layer_)) {
    w->ffn_hyper = load_hyper(loader_, config_, prefix + "ffn_", false);
  }
}

LayerWeights LayerLoader::load() {
  LayerWeights w;
  mixer(&w);
  if (config_.hyper.streams > 1) hyper_connections(&w);
  if (config_.per_layer_width > 0) w.per_layer = per_layer();
  if (config_.layer_scales) w.output_scale = vector("layer_output_scale", 1);
  if (!config_.has_feed_forward(layer_)) return w;
  if (!config_.parallel_block) {
    w.ffn_norm = vector(config_.ffn_norm_name, config_.hidden);
    if (config_.norm_biases) w.ffn_norm_bias = bias(config_.ffn_norm_name, config_.hidden);
  }
  if (config_.post_norms) w.ffn_post_norm = vector("post_ffw_norm", config_.hidden);
  if (config_.has_experts(layer_)) {
    experts(&w);
  } else {
    w.dense = feed_forward("", config_.ffn_width_of(layer_));
  }
  return w;
}

}  // namespace potluck
