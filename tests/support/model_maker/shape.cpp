#include "tests/support/model_maker/shape.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

// Sizes and switches of a tiny qwen3moe; what other families have is written over it.
ModelShape tiny_shape() {
  ModelShape shape;
  ModelConfig& c = shape.config;
  c.architecture = "qwen3moe";
  c.layers = 3;
  c.hidden = 64;
  c.vocabulary = 512;
  c.trained_context = 4096;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 32;
  c.value_dim = 32;
  c.head_norm = HeadNorm::kPerHead;
  c.norm_epsilon = 1e-6F;
  c.rope.dimensions = 32;
  c.rope.base = 1e6;
  c.router.experts = 8;
  c.router.top_k = 2;
  c.expert_width = 64;
  return shape;
}

}  // namespace

void start_from(std::string_view preset, ModelShape& shape) {
  const std::vector<Preset> all = presets();
  const auto found = std::ranges::find(all, preset, &Preset::name);
  CHECK(found != all.end());
  found->apply(shape);
}

void set_heads(ModelConfig& c, uint32_t heads, uint32_t kv_heads, uint32_t size) {
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = size;
  c.value_dim = size;
  c.rope.dimensions = size;
}

void sparse_layers(ModelConfig& c) {
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.router.weight_scale = 2.5F;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
  c.shared_width = 64;
}

void ropes_by_window(ModelConfig& c) {
  for (uint8_t window : c.window_layers) {
    c.layer_ropes.push_back(window != 0 ? LayerRope::kWindow : LayerRope::kMain);
  }
}

std::vector<Preset> presets() {
  std::vector<Preset> all;
  for (auto part : {attention_presets, window_presets, latent_presets, sparse_presets,
                    recurrent_presets, large_presets}) {
    const std::span<const Preset> rows = part();
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

Result<ModelShape> make_shape(std::string_view preset) {
  std::string known;
  for (const Preset& candidate : presets()) {
    if (!known.empty()) known += ", ";
    known += candidate.name;
    if (candidate.name != preset) continue;
    ModelShape shape = tiny_shape();
    candidate.apply(shape);
    shape.config.name = std::string(preset);
    return shape;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("--preset: '{}' is not known; known are {}", preset, known)};
}

}  // namespace potluck::test
