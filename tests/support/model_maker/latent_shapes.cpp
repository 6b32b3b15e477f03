// Families with latent attention.
#include <array>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

void deepseek_v2(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "deepseek2";
  c.layers = 27;  // by which llama.cpp knows the Lite variant
  c.head_norm = HeadNorm::kNone;
  c.kv_heads = 1;
  c.latent.rank = 32;
  c.latent.plain_dimensions = 32;
  c.latent.value_dimensions = 32;
  c.rope.pairs = RopePairs::kNeighbors;
  c.rope.dimensions = 16;
  c.rope.base = 1e4;
  c.router.normalize_weights = false;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
  c.shared_width = 64;
}

// GLM-4.7-Flash is this without groups.
void deepseek_v3(ModelShape& shape) {
  deepseek_v2(shape);
  ModelConfig& c = shape.config;
  c.layers = 3;
  c.latent.query_rank = 32;
  c.router.gating = Gating::kSigmoid;
  c.router.normalize_weights = true;
  c.router.selection_bias = true;
  c.router.groups = 4;
  c.router.groups_used = 2;
  c.router.weight_scale = 2.5F;
}

void mistral4(ModelShape& shape) {
  deepseek_v3(shape);
  ModelConfig& c = shape.config;
  c.architecture = "mistral4";
  c.router.gating = Gating::kSoftmax;
  c.router.selection_bias = false;
  c.router.groups = 1;
  c.router.groups_used = 1;
  shape.joins_gate_up = true;
}

constexpr std::array kLatentPresets = {
    Preset{"deepseek-v2", "tiny DeepSeek V2-Lite: queries not compressed, softmax", deepseek_v2},
    Preset{"deepseek-v3", "tiny DeepSeek V3: groups, sigmoid with a bias", deepseek_v3},
    Preset{"mistral4", "tiny Mistral Small 4: latent attention, softmax", mistral4},
};

}  // namespace

std::span<const Preset> latent_presets() {
  return kLatentPresets;
}

}  // namespace potluck::test
