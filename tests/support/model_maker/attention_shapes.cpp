// Families with plain attention: every layer sees all positions.
#include <array>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

void qwen3moe(ModelShape&) {}

void make_dense(ModelConfig& c) {
  c.router = {};
  c.expert_width = 0;
  c.ffn_width = 128;
}

void qwen3(ModelShape& shape) {
  shape.config.architecture = "qwen3";
  make_dense(shape.config);
}

void mixtral(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "llama";
  c.head_norm = HeadNorm::kNone;
  c.rope.pairs = RopePairs::kNeighbors;
}

void llama(ModelShape& shape) {
  mixtral(shape);
  make_dense(shape.config);
}

// Of qwen2moe, olmoe and others that have heads of 16, llama.cpp reads only files whose heads
// together are as wide as the hidden state.
void qwen2moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "qwen2moe";
  set_heads(c, 4, 2, 16);
  c.head_norm = HeadNorm::kNone;
  c.projection_biases = true;
  c.router.normalize_weights = false;
  c.shared_width = 128;
  c.shared_gate = true;
}

void olmoe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "olmoe";
  c.head_norm = HeadNorm::kFullWidth;
  set_heads(c, 4, 4, 16);
  c.rope.base = 1e4;
  c.router.normalize_weights = false;
}

void granitemoe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "granitemoe";
  c.head_norm = HeadNorm::kNone;
  c.rope.pairs = RopePairs::kNeighbors;
  c.rope.base = 1e4;
  c.attention_scale = 0.2F;
  c.embedding_scale = 12;
  c.residual_scale = 0.5F;
  c.logit_divisor = 6;
}

void minimax_m2(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "minimax-m2";
  c.head_norm = HeadNorm::kFullWidth;
  c.rope.dimensions = 16;
  c.rope.base = 5e6;
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
}

void glm4moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "glm4moe";
  c.projection_biases = true;
  c.ffn_norm_name = "post_attention_norm";
  c.rope.dimensions = 16;
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.router.weight_scale = 1.5F;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
  c.shared_width = 64;
}

void qwen3vlmoe(ModelShape& shape) {
  shape.config.architecture = "qwen3vlmoe";
}

void ernie4_5_moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "ernie4_5-moe";
  c.layers = 5;
  c.head_norm = HeadNorm::kNone;
  c.rope.pairs = RopePairs::kNeighbors;
  sparse_layers(c);
  c.router.gating = Gating::kSoftmax;
  c.router.weight_scale = 1;
}

void bailingmoe2(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "bailingmoe2";
  set_heads(c, 4, 2, 16);
  c.rope.dimensions = 8;
  sparse_layers(c);
  c.router.groups = 4;
  c.router.groups_used = 2;
  shape.joins_projections = true;
}

void hunyuan_moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "hunyuan-moe";
  c.rope_before_norm = true;
  c.shared_width = 64;
}

void hy_v3(ModelShape& shape) {
  shape.config.architecture = "hy_v3";
  sparse_layers(shape.config);
}

void dots1(ModelShape& shape) {
  shape.config.architecture = "dots1";
  sparse_layers(shape.config);
  shape.config.kv_heads = shape.config.heads;
}

void phimoe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "phimoe";
  set_heads(c, 4, 2, 16);
  c.norm = NormKind::kLayer;
  c.norm_biases = true;
  c.head_norm = HeadNorm::kNone;
  c.projection_biases = true;
  c.output_bias = true;
  c.logit_bias = true;
  c.router.gating = Gating::kSparseMixer;
  c.router.normalize_weights = false;
}

constexpr std::array kAttentionPresets = {
    Preset{"qwen3moe", "tiny Qwen3-MoE", qwen3moe},
    Preset{"qwen3", "tiny dense Qwen3", qwen3},
    Preset{"llama", "tiny dense Llama", llama},
    Preset{"mixtral", "tiny Mixtral", mixtral},
    Preset{"qwen2moe", "tiny Qwen2-MoE", qwen2moe},
    Preset{"olmoe", "tiny OLMoE", olmoe},
    Preset{"granitemoe", "tiny Granite-MoE", granitemoe},
    Preset{"glm4moe", "tiny GLM-4.5", glm4moe},
    Preset{"minimax-m2", "tiny MiniMax-M2", minimax_m2},
    Preset{"qwen3vlmoe", "tiny Qwen3-VL-MoE, text part", qwen3vlmoe},
    Preset{"ernie4_5-moe", "tiny Ernie 4.5", ernie4_5_moe},
    Preset{"bailingmoe2", "tiny Ling 2: groups, one matrix for queries, keys, values", bailingmoe2},
    Preset{"hunyuan-moe", "tiny Hunyuan A13B", hunyuan_moe},
    Preset{"hy_v3", "tiny Hunyuan 3", hy_v3},
    Preset{"dots1", "tiny dots.llm1", dots1},
    Preset{"phimoe", "tiny Phi-3.5-MoE: sparse mixer, layer norms", phimoe},
};

}  // namespace

std::span<const Preset> attention_presets() {
  return kAttentionPresets;
}

}  // namespace potluck::test
