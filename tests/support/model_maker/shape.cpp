#include "tests/support/model_maker/shape.h"

#include <array>

#include <fmt/format.h>

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

void set_heads(ModelConfig& c, uint32_t heads, uint32_t kv_heads, uint32_t size) {
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = size;
  c.value_dim = size;
  c.rope.dimensions = size;
}

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

// Of qwen2moe and olmoe, llama.cpp reads only files whose heads together are as wide as the hidden
// state.
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

void gpt_oss(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "gpt-oss";
  c.layers = 4;
  c.head_norm = HeadNorm::kNone;
  c.projection_biases = true;
  c.output_bias = true;
  c.sinks = true;
  c.full_attention_interval = 2;
  c.sliding_window = 128;
  c.ffn_norm_name = "post_attention_norm";
  c.rope.base = 150000;
  c.rope.scaling = RopeScaling::kYarn;
  c.rope.factor = 32;
  c.rope.original_context = 4096;
  c.router.gating = Gating::kSoftmaxOfChosen;
  c.router.normalize_weights = false;
  c.router.bias = true;
  c.expert_biases = true;
  c.expert_activation = ExpertActivation::kSwiGluOai;
}

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

void qwen35moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "qwen35moe";
  c.layers = 4;
  c.gated_attention = true;
  c.full_attention_interval = 4;
  c.ffn_norm_name = "post_attention_norm";
  c.rope.dimensions = 8;
  c.rope.base = 1e7;
  c.shared_width = 64;
  c.shared_gate = true;
  c.delta.key_heads = 2;
  c.delta.value_heads = 4;
  c.delta.key_dim = 16;
  c.delta.value_dim = 16;
  c.delta.convolution = 4;
  c.delta.tiled_heads = true;
}

void qwen3next(ModelShape& shape) {
  qwen35moe(shape);
  ModelConfig& c = shape.config;
  c.architecture = "qwen3next";
  c.delta.tiled_heads = false;
  c.delta.joined_beta_alpha = true;
}

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
  gpt_oss(shape);
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

constexpr std::array kPresets = {
    Preset{"qwen3moe", "tiny Qwen3-MoE", qwen3moe},
    Preset{"qwen3", "tiny dense Qwen3", qwen3},
    Preset{"llama", "tiny dense Llama", llama},
    Preset{"mixtral", "tiny Mixtral", mixtral},
    Preset{"qwen2moe", "tiny Qwen2-MoE", qwen2moe},
    Preset{"olmoe", "tiny OLMoE", olmoe},
    Preset{"granitemoe", "tiny Granite-MoE", granitemoe},
    Preset{"gpt-oss", "tiny gpt-oss", gpt_oss},
    Preset{"deepseek-v2", "tiny DeepSeek V2-Lite: queries not compressed, softmax", deepseek_v2},
    Preset{"deepseek-v3", "tiny DeepSeek V3: groups, sigmoid with a bias", deepseek_v3},
    Preset{"glm4moe", "tiny GLM-4.5", glm4moe},
    Preset{"minimax-m2", "tiny MiniMax-M2", minimax_m2},
    Preset{"qwen3next", "tiny Qwen3-Next", qwen3next},
    Preset{"qwen35moe", "tiny Qwen3.5-MoE", qwen35moe},
    Preset{"small", "0.8 B parameters, Qwen3-MoE: for benchmarks in memory", small},
    Preset{"a3b", "the shape of Qwen3-30B-A3B, Q4_K with the output in Q6_K: 17 GB", a3b},
    Preset{"a3b-8", "the same with 8 of its 48 layers: 3 GB", a3b_8},
    Preset{"gpt-oss-20b", "the shape of gpt-oss-20b in its own formats: 13 GB", gpt_oss_20b},
};

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

Result<ModelShape> make_shape(std::string_view preset) {
  std::string known;
  for (const Preset& candidate : kPresets) {
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
