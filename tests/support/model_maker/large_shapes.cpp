// Shapes for benchmarks: of published sizes, or small enough for a quick one.
#include <array>
#include <cmath>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

void small(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.layers = 12;
  c.hidden = 1024;
  c.vocabulary = 102400;
  c.trained_context = 32768;
  set_heads(c, 16, 4, 64);
  c.router.experts = 32;
  c.router.top_k = 4;
  c.expert_width = 512;
}

void a3b(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.layers = 48;
  c.hidden = 2048;
  c.vocabulary = 151936;
  c.trained_context = 40960;
  set_heads(c, 32, 4, 128);
  c.router.experts = 128;
  c.router.top_k = 8;
  c.expert_width = 768;
  shape.format = "Q4_K";
  shape.tensor_formats = {"output.weight=Q6_K"};
}

void a3b_8(ModelShape& shape) {
  a3b(shape);
  shape.config.layers = 8;
}

void gpt_oss_20b(ModelShape& shape) {
  start_from("gpt-oss", shape);
  ModelConfig& c = shape.config;
  c.layers = 24;
  c.hidden = 2880;
  c.vocabulary = 201088;
  c.trained_context = 131072;
  set_heads(c, 64, 8, 64);
  c.router.experts = 32;
  c.router.top_k = 4;
  c.expert_width = 2880;
  shape.format = "MXFP4_MOE";
}

void gemma4_26b(ModelShape& shape) {
  start_from("gemma4", shape);
  ModelConfig& c = shape.config;
  c.layers = 30;
  c.hidden = 2816;
  c.embedding_scale = std::sqrt(2816.0F);
  c.vocabulary = 262144;
  c.trained_context = 262144;
  c.heads = 16;
  c.kv_heads = 8;
  c.head_dim = 512;
  c.value_dim = 512;
  c.rope.dimensions = 512;
  c.window_rope.dimensions = 256;
  c.sliding_window = 1024;
  c.window_layers = {1, 1, 1, 1, 1, 0};
  c.layer_ropes.clear();
  ropes_by_window(c);
  c.layer_head_dims = {256, 256, 256, 256, 256, 512};
  c.layer_value_dims = c.layer_head_dims;
  c.layer_kv_heads = {8, 8, 8, 8, 8, 2};
  c.key_values = {0, 0, 0, 0, 0, 1};
  c.ffn_width = 2112;
  c.layer_ffn_widths.assign(6, 2112);
  c.router.experts = 128;
  c.router.top_k = 8;
  c.expert_width = 704;
  shape.format = "Q4_K_M";
}

constexpr std::array kLargePresets = {
    Preset{"small", "0.8 B parameters, Qwen3-MoE: for benchmarks in memory", small},
    Preset{"a3b", "the shape of Qwen3-30B-A3B, Q4_K with the output in Q6_K: 17 GB", a3b},
    Preset{"a3b-8", "the same with 8 of its 48 layers: 3 GB", a3b_8},
    Preset{"gemma4-26b", "the shape of Gemma 4 26B-A4B, Q4_K_M: 17 GB", gemma4_26b},
    Preset{"gpt-oss-20b", "the shape of gpt-oss-20b in its own formats: 13 GB", gpt_oss_20b},
};

}  // namespace

std::span<const Preset> large_presets() {
  return kLargePresets;
}

}  // namespace potluck::test
