// Which tensors a model has follows from its configuration alone. Loading and measuring are one
// walk with another loader, so they cannot disagree.
#include "engine/model/weights.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/model/rope.h"
#include "engine/model/tensor_loader.h"

namespace potluck {
namespace {

// The tensors of one layer, by the rest of their names.
class LayerLoader {
 public:
  LayerLoader(TensorLoader& loader, const ModelConfig& config, uint32_t layer)
      : loader_(loader), config_(config), layer_(layer) {}

  LayerWeights load();

 private:
  std::string name(std::string_view part) const { return fmt::format("blk.{}.{}", layer_, part); }
  WeightMatrix matrix(std::string_view part, uint32_t rows, uint32_t columns, uint32_t parts = 1) {
    return loader_.matrix(name(part) + ".weight", rows, columns, parts);
  }
  std::vector<float> vector(std::string_view part, uint32_t count) {
    return loader_.vector(name(part) + ".weight", count);
  }
  std::vector<float> bias(std::string_view part, uint32_t count) {
    return loader_.vector(name(part) + ".bias", count);
  }

  void mixer(LayerWeights* w);
  AttentionWeights attention();
  void projections(AttentionWeights* w);
  void fused_projections(AttentionWeights* w);
  LatentWeights latent();
  DeltaNetWeights delta();
  IndexerWeights indexer();
  ShortConvolutionWeights short_convolution();
  MambaWeights mamba();
  KimiDeltaWeights kimi();
  std::vector<float> convolution(std::string_view part, uint32_t channels, uint32_t tokens);
  FeedForwardWeights feed_forward(std::string_view suffix, uint32_t width);
  RouterWeights router();

  TensorLoader& loader_;
  const ModelConfig& config_;
  uint32_t layer_;
};

// Rows of what hidden states become: queries (and their gates), keys, values.
struct ProjectionRows {
  uint32_t query;
  uint32_t key;
  uint32_t value;

  ProjectionRows(const ModelConfig& config, uint32_t layer)
      : query(config.heads_of(layer) * config.head_dim),
        key(config.kv_heads_of(layer) * config.head_dim),
        value(config.kv_heads_of(layer) * config.value_dim) {
    if (config.attention_gate == AttentionGate::kInQueries) query *= 2;
  }
  uint32_t all() const { return query + key + value; }
};

void LayerLoader::projections(AttentionWeights* w) {
  const ProjectionRows rows(config_, layer_);
  w->query = matrix("attn_q", rows.query, config_.hidden);
  w->key = matrix("attn_k", rows.key, config_.hidden);
  w->value = matrix("attn_v", rows.value, config_.hidden);
  if (!config_.projection_biases) return;
  w->query_bias = bias("attn_q", rows.query);
  w->key_bias = bias("attn_k", rows.key);
  w->value_bias = bias("attn_v", rows.value);
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
  const uint32_t attended = heads * config_.value_dim;
  if (loader_.has(name("attn_qkv.weight"))) {
    fused_projections(&w);
  } else {
    projections(&w);
  }
  if (config_.head_norm != HeadNorm::kNone) {
    bool per_head = config_.head_norm == HeadNorm::kPerHead;
    uint32_t kv_heads = config_.kv_heads_of(layer_);
    w.query_norm = vector("attn_q_norm", (per_head ? 1 : heads) * config_.head_dim);
    w.key_norm = vector("attn_k_norm", (per_head ? 1 : kv_heads) * config_.head_dim);
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
  w.query = matrix("indexer.attn_q_b", heads * size, config_.latent.query_rank);
  w.key = matrix("indexer.attn_k", size, config_.hidden);
  w.weights = matrix("indexer.proj", heads, config_.hidden);
  w.key_norm = vector("indexer.k_norm", size);
  w.key_norm_bias = bias("indexer.k_norm", size);
  return w;
}

DeltaNetWeights LayerLoader::delta() {
  DeltaNetWeights w;
  const DeltaNetConfig& delta = config_.delta;
  w.mixed = matrix("attn_qkv", delta.channels(), config_.hidden);
  w.gate = matrix("attn_gate", delta.value_columns(), config_.hidden);
  if (delta.joined_beta_alpha) {
    w.beta_alpha = matrix("ssm_ba", 2 * delta.value_heads, config_.hidden);
  } else {
    w.beta = matrix("ssm_beta", delta.value_heads, config_.hidden);
    w.alpha = matrix("ssm_alpha", delta.value_heads, config_.hidden);
  }
  w.convolution = convolution("ssm_conv1d", delta.channels(), delta.convolution);
  w.decay = loader_.vector(name("ssm_a"), delta.value_heads);
  w.decay_bias = bias("ssm_dt", delta.value_heads);
  w.norm = vector("ssm_norm", delta.value_dim);
  w.output = matrix("ssm_out", config_.hidden, delta.value_columns());
  return w;
}

// The file has [channels, tokens]; transposed, one tap of all channels is one vector.
std::vector<float> LayerLoader::convolution(std::string_view part, uint32_t channels,
                                            uint32_t tokens) {
  std::vector<float> by_channel = loader_.channels(name(part) + ".weight", channels, tokens);
  std::vector<float> by_token(by_channel.size());
  for (size_t i = 0; i < by_channel.size(); ++i) {
    by_token[i % tokens * channels + i / tokens] = by_channel[i];
  }
  return by_token;
}

ShortConvolutionWeights LayerLoader::short_convolution() {
  ShortConvolutionWeights w;
  w.input = matrix("shortconv.in_proj", 3 * config_.hidden, config_.hidden);
  w.convolution = convolution("shortconv.conv", config_.hidden, config_.short_convolution);
  w.output = matrix("shortconv.out_proj", config_.hidden, config_.hidden);
  return w;
}

MambaWeights LayerLoader::mamba() {
  MambaWeights w;
  const MambaConfig& mamba = config_.mamba;
  w.input = matrix("ssm_in", mamba.projected(), config_.hidden);
  w.convolution = convolution("ssm_conv1d", mamba.channels(), mamba.convolution);
  w.convolution_bias = bias("ssm_conv1d", mamba.channels());
  w.decay = loader_.table(name("ssm_a"), mamba.heads, 1);
  w.time_bias = bias("ssm_dt", mamba.heads);
  w.skip = loader_.table(name("ssm_d"), mamba.heads, 1);
  w.norm = loader_.table(name("ssm_norm.weight"), mamba.groups, mamba.inner() / mamba.groups);
  w.output = matrix("ssm_out", config_.hidden, mamba.inner());
  return w;
}

KimiDeltaWeights LayerLoader::kimi() {
  KimiDeltaWeights w;
  const KimiDeltaConfig& kimi = config_.kimi;
  uint32_t columns = kimi.columns();
  w.query = matrix("attn_q", columns, config_.hidden);
  w.key = matrix("attn_k", columns, config_.hidden);
  w.value = matrix("attn_v", columns, config_.hidden);
  // One convolution over all three: tap by tap queries, keys, values.
  const std::vector<float> parts[] = {convolution("ssm_conv1d_q", columns, kimi.convolution),
                                      convolution("ssm_conv1d_k", columns, kimi.convolution),
                                      convolution("ssm_conv1d_v", columns, kimi.convolution)};
  for (size_t first = 0; first < parts[2].size(); first += columns) {
    for (const std::vector<float>& part : parts) {
      auto begin = part.begin() + static_cast<ptrdiff_t>(first);
      w.convolution.insert(w.convolution.end(), begin, begin + columns);
    }
  }
  w.decay_down = matrix("ssm_f_a", kimi.head_dim, config_.hidden);
  w.decay_up = matrix("ssm_f_b", columns, kimi.head_dim);
  w.decay_bias = bias("ssm_dt", columns);
  w.decay = loader_.table(name("ssm_a"), kimi.heads, 1);
  w.beta = matrix("ssm_beta", kimi.heads, config_.hidden);
  w.gate_down = matrix("ssm_g_a", kimi.head_dim, config_.hidden);
  w.gate_up = matrix("ssm_g_b", columns, kimi.head_dim);
  w.norm = vector("ssm_norm", kimi.head_dim);
  w.output = matrix("attn_output", config_.hidden, columns);
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
  }
  if (config_.has_indexer(layer_)) w->indexer = indexer();
}

LayerWeights LayerLoader::load() {
  LayerWeights w;
  mixer(&w);
  if (!config_.has_feed_forward(layer_)) return w;
  if (!config_.parallel_block) {
    w.ffn_norm = vector(config_.ffn_norm_name, config_.hidden);
    if (config_.norm_biases) w.ffn_norm_bias = bias(config_.ffn_norm_name, config_.hidden);
  }
  if (config_.post_norms) w.ffn_post_norm = vector("post_ffw_norm", config_.hidden);
  if (!config_.has_experts(layer_)) {
    w.dense = feed_forward("", config_.ffn_width);
    return w;
  }
  w.router = router();
  if (config_.latent_width > 0) {
    w.latent_down = matrix("ffn_latent_down", config_.latent_width, config_.hidden);
    w.latent_up = matrix("ffn_latent_up", config_.hidden, config_.latent_width);
  }
  if (config_.shared_width == 0) return w;
  w.shared = feed_forward("_shexp", config_.shared_width);
  if (config_.shared_gate) w.shared.output_gate = matrix("ffn_gate_inp_shexp", 1, config_.hidden);
  return w;
}

void leave_experts(TensorLoader& loader, const ModelConfig& config) {
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    for (std::string_view part : {"gate", "up", "down"}) {
      // Where nothing reads it, it has no place in the file.
      if (part == "gate" && !has_gate(config.expert_activation)) continue;
      loader.leave(fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
      if (config.expert_biases) loader.leave(fmt::format("blk.{}.ffn_{}_exps.bias", layer, part));
    }
  }
}

// A tensor that all layers share may stretch the frequencies of rope one by one (Llama 3.1).
std::vector<float> load_rope_divisors(TensorLoader& loader, const ModelConfig& config) {
  constexpr const char* kName = "rope_freqs.weight";
  if (!loader.has(kName)) return {};
  // It is as long as the wider of two ropes needs; both read its beginning.
  const uint32_t pairs = std::max(config.rope.dimensions, config.window_rope.dimensions) / 2;
  std::vector<float> divisors = loader.vector(kName, pairs);
  if (!divisors.empty()) divisors.resize(config.rope.dimensions / 2);
  bool good = std::ranges::all_of(divisors, [](float d) { return std::isfinite(d) && d > 0; });
  if (!good) loader.refuse(kName, "its values must be above 0");
  if (good && divisors.size() == config.rope.dimensions / 2 &&
      !RopeFrequencies(config.rope, divisors).in_range()) {
    loader.refuse(kName, "its values are so small that frequencies become too high");
  }
  return divisors;
}

// Asks the loader for every tensor of the model.
ModelWeights ask_for_all(TensorLoader& loader, const ModelConfig& config) {
  leave_experts(loader, config);
  loader.leave_all([&](std::string_view name) { return is_skipped(config, name); });
  ModelWeights weights;
  weights.token_embedding = loader.matrix("token_embd.weight", config.vocabulary, config.hidden);
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    weights.layers.push_back(LayerLoader(loader, config, layer).load());
  }
  const std::string output_norm(config.output_norm_name);
  weights.output_norm = loader.vector(output_norm + ".weight", config.hidden);
  if (config.norm_biases) {
    weights.output_norm_bias = loader.vector(output_norm + ".bias", config.hidden);
  }
  if (loader.has("output.weight")) {
    weights.output = loader.matrix("output.weight", config.vocabulary, config.hidden);
  }
  if (config.logit_bias) weights.output_bias = loader.vector("output.bias", config.vocabulary);
  weights.rope_divisors = load_rope_divisors(loader, config);
  return weights;
}

}  // namespace

bool is_skipped(const ModelConfig& config, std::string_view tensor) {
  for (std::string_view other : {"v.", "a.", "mm."}) {
    if (tensor.starts_with(other)) return true;
  }
  // They only propose tokens that the model would check: leaving them out changes no token.
  for (uint32_t layer = 0; layer < config.next_token_layers; ++layer) {
    if (tensor.starts_with(fmt::format("blk.{}.", config.layers + layer))) return true;
  }
  return false;
}

Result<ModelWeights> load_weights(const GgufModel& model, const ModelConfig& config,
                                  const Progress& progress) {
  TensorLoader loader(model, progress);
  ModelWeights weights = ask_for_all(loader, config);
  Status finished = loader.finish(config.architecture);
  if (!finished) return finished.error().in(model.path());
  return weights;
}

Result<uint64_t> measure_weights(const GgufModel& model, const ModelConfig& config) {
  const Progress no_progress;
  TensorLoader loader(model, no_progress, TensorLoader::Purpose::kMeasure);
  (void)ask_for_all(loader, config);
  Status finished = loader.finish(config.architecture);
  if (!finished) return finished.error().in(model.path());
  return loader.memory_bytes();
}

}  // namespace potluck
