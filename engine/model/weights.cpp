// Which tensors a model has follows from its configuration alone. Loading and measuring are one
// walk with another loader, so they cannot disagree.
#include "engine/model/weights.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/model/layer_loader.h"
#include "engine/model/rope.h"

namespace potluck {
namespace {

void leave_experts(TensorLoader& loader, const ModelConfig& config) {
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    for (std::string_view part : {"gate", "up", "down"}) {
      // Where nothing reads it, it has no place in the file.
      if (part == "gate" && !has_gate(config.expert_activation)) continue;
      loader.leave(fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
      if (config.expert_biases) loader.leave(fmt::format("blk.{}.ffn_{}_exps.bias", layer, part));
      loader.leave(fmt::format("blk.{}.ffn_{}_exps.scale", layer, part));
      loader.leave(fmt::format("blk.{}.ffn_{}_exps.input_scale", layer, part));
    }
  }
}

// Numbers that divide the frequencies of rope one by one, `count` of which the first are those of
// kMain.
std::vector<float> load_divisors(TensorLoader& loader, const ModelConfig& config, const char* name,
                                 uint32_t count) {
  std::vector<float> divisors = loader.vector(name, count);
  if (!divisors.empty()) divisors.resize(config.rope.dimensions / 2);
  bool good = std::ranges::all_of(divisors, [](float d) { return std::isfinite(d) && d > 0; });
  if (!good) loader.refuse(name, "its values must be above 0");
  if (good && divisors.size() == config.rope.dimensions / 2 &&
      !RopeFrequencies(config.rope, divisors).in_range()) {
    loader.refuse(name, "its values are so small that frequencies become too high");
  }
  return divisors;
}

// Tensors that all layers share may stretch the frequencies: one (Llama 3.1), as long as the wider
// of two ropes needs, of which both read the beginning; or two, for short and long contexts (Phi).
void load_rope_divisors(TensorLoader& loader, const ModelConfig& config, ModelWeights* weights) {
  if (config.rope.scaling == RopeScaling::kLongRope) {
    const uint32_t pairs = config.rope.dimensions / 2;
    weights->rope_divisors = load_divisors(loader, config, "rope_factors_short.weight", pairs);
    weights->long_divisors = load_divisors(loader, config, "rope_factors_long.weight", pairs);
    return;
  }
  constexpr const char* kName = "rope_freqs.weight";
  if (!loader.has(kName)) return;
  const uint32_t pairs = std::max(config.rope.dimensions, config.window_rope.dimensions) / 2;
  weights->rope_divisors = load_divisors(loader, config, kName, pairs);
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
  if (config.hyper.streams > 1) {
    weights.output_hyper = load_hyper(loader, config, "output_hc_", true);
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
  if (const uint32_t columns = config.layers * config.per_layer_width; columns > 0) {
    weights.per_layer_embedding =
        loader.matrix("per_layer_token_embd.weight", config.vocabulary, columns);
    weights.per_layer_projection =
        loader.matrix("per_layer_model_proj.weight", columns, config.hidden);
    weights.per_layer_norm = loader.vector("per_layer_proj_norm.weight", config.per_layer_width);
  }
  load_rope_divisors(loader, config, &weights);
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
