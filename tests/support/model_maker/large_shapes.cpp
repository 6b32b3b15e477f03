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

// Of about a billion parameters, for a comparison of whole families: half, a quarter or a sixth of
// the published sizes, fewer layers and experts, as many experts to a token, and a vocabulary that
// does not outweigh the rest.
void set_billion(ModelShape& shape, uint32_t layers, uint32_t hidden) {
  ModelConfig& c = shape.config;
  c.layers = layers;
  c.hidden = hidden;
  c.vocabulary = 65536;
  c.trained_context = 131072;
  shape.format = "Q4_K_M";
}

// Half of Gemma 4 26B-A4B.
void gemma4_1b(ModelShape& shape) {
  gemma4_26b(shape);
  set_billion(shape, 12, 1280);
  ModelConfig& c = shape.config;
  c.embedding_scale = std::sqrt(1280.0F);
  c.heads = 8;
  c.kv_heads = 4;
  c.sliding_window = 512;
  c.layer_kv_heads = {4, 4, 4, 4, 4, 1};
  c.ffn_width = 1056;
  c.layer_ffn_widths.assign(6, 1056);
  c.router.experts = 48;
  c.expert_width = 352;
}

// Half of LFM2-8B-A1B.
void lfm2moe_1b(ModelShape& shape) {
  start_from("lfm2moe", shape);
  set_billion(shape, 12, 1024);
  ModelConfig& c = shape.config;
  set_heads(c, 16, 4, 64);
  c.mixers.assign(c.layers, MixerKind::kShortConvolution);
  for (uint32_t layer : {2, 6, 10}) c.mixers[layer] = MixerKind::kAttention;
  c.ffn_width = 3584;
  c.router.experts = 32;
  c.router.top_k = 4;
  c.expert_width = 768;
}

// Half of Nemotron 3 Nano 30B-A3B.
void nemotron_h_moe_1b(ModelShape& shape) {
  start_from("nemotron-h-moe", shape);
  set_billion(shape, 13, 1280);
  ModelConfig& c = shape.config;
  c.heads = 16;
  c.kv_heads = 2;
  c.head_dim = 128;
  c.value_dim = 128;
  c.mamba.heads = 32;
  c.mamba.head_dim = 64;
  c.mamba.groups = 4;
  c.mamba.state = 128;
  c.mixers.clear();
  c.feed_forwards.clear();
  for (char kind : std::string_view("MEMEM*EMEMEME")) {
    c.mixers.push_back(kind == 'M'   ? MixerKind::kMamba
                       : kind == '*' ? MixerKind::kAttention
                                     : MixerKind::kNone);
    c.feed_forwards.push_back(kind == 'E' ? FeedForwardKind::kExperts : FeedForwardKind::kNone);
  }
  c.router.experts = 52;
  c.router.top_k = 6;
  c.expert_width = 928;
  c.shared_width = 1856;
}

// A quarter of GLM-5, a sixth of its hidden state.
void glm_dsa_1b(ModelShape& shape) {
  start_from("glm-dsa", shape);
  set_billion(shape, 10, 1024);
  ModelConfig& c = shape.config;
  c.heads = 16;
  c.rope.dimensions = 64;
  c.latent.query_rank = 512;
  c.latent.rank = 256;
  c.latent.plain_dimensions = 128;
  c.latent.value_dimensions = 128;
  c.indexer.heads = 8;
  c.indexer.dimensions = 128;
  c.indexer.top_k = 2048;
  c.indexer.layers.clear();
  c.ffn_width = 2048;
  c.router.experts = 48;
  c.router.top_k = 8;
  c.expert_width = 512;
  c.shared_width = 512;
}

// A quarter of DeepSeek V4 Flash.
void deepseek4_1b(ModelShape& shape) {
  start_from("deepseek4", shape);
  set_billion(shape, 10, 1024);
  ModelConfig& c = shape.config;
  c.heads = 16;
  c.head_dim = 512;
  c.value_dim = 512;
  c.rope.dimensions = 64;
  c.sliding_window = 128;
  c.compressed.query_rank = 256;
  c.compressed.output_groups = 4;
  c.compressed.output_rank = 256;
  c.compressed.ratios = {0, 0, 4, 128, 4, 128, 4, 128, 4, 128};
  c.indexer.heads = 16;
  c.indexer.dimensions = 128;
  c.indexer.top_k = 512;
  c.router.experts = 48;
  c.router.top_k = 6;
  c.router.hash_layers = 3;
  c.expert_width = 512;
  c.shared_width = 512;
  c.expert_limits = {10};
  c.ffn_limits = {10};
}

// For long contexts: little beside the attention, which chooses as much as published models do or
// half of it, so that contexts of 65,536 tokens are affordable.
void set_long(ModelShape& shape, uint32_t layers) {
  ModelConfig& c = shape.config;
  c.layers = layers;
  c.hidden = 256;
  c.trained_context = 131072;
  c.ffn_width = 256;
  c.router.experts = 8;
  c.router.groups = 1;
  c.router.groups_used = 1;
  c.expert_width = 256;
  c.shared_width = 256;
  shape.format = "Q8_0";
}

void deepseek32_long(ModelShape& shape) {
  start_from("deepseek32", shape);
  set_long(shape, 2);
  ModelConfig& c = shape.config;
  c.rope.dimensions = 32;
  c.latent.query_rank = 128;
  c.latent.rank = 128;
  c.latent.plain_dimensions = 64;
  c.latent.value_dimensions = 64;
  c.indexer.dimensions = 64;
  c.indexer.top_k = 1024;
}

void deepseek4_long(ModelShape& shape) {
  start_from("deepseek4", shape);
  set_long(shape, 4);
  ModelConfig& c = shape.config;
  c.head_dim = 128;
  c.value_dim = 128;
  c.rope.dimensions = 32;
  c.sliding_window = 128;
  c.compressed.query_rank = 128;
  c.compressed.output_rank = 128;
  c.indexer.dimensions = 64;
  c.indexer.top_k = 512;
}

void minimax_m3_long(ModelShape& shape) {
  start_from("minimax-m3", shape);
  set_long(shape, 3);
  ModelConfig& c = shape.config;
  set_heads(c, 4, 2, 64);
  c.rope.dimensions = 32;
  c.indexer.dimensions = 64;
  c.indexer.block = 64;
  c.indexer.top_k = 16;
  c.leading_dense_layers = 0;  // those attend to everything
  c.indexer.layers.clear();
}

constexpr std::array kLargePresets = {
    Preset{"small", "0.8 B parameters, Qwen3-MoE: for benchmarks in memory", small},
    Preset{"a3b", "the shape of Qwen3-30B-A3B, Q4_K with the output in Q6_K: 17 GB", a3b},
    Preset{"a3b-8", "the same with 8 of its 48 layers: 3 GB", a3b_8},
    Preset{"gemma4-26b", "the shape of Gemma 4 26B-A4B, Q4_K_M: 17 GB", gemma4_26b},
    Preset{"gemma4-1b", "1.1 B parameters in the proportions of Gemma 4 26B-A4B, Q4_K_M",
           gemma4_1b},
    Preset{"lfm2moe-1b", "1.0 B of LFM2-8B-A1B", lfm2moe_1b},
    Preset{"nemotron-h-moe-1b", "1.0 B of Nemotron 3 Nano 30B-A3B", nemotron_h_moe_1b},
    Preset{"glm-dsa-1b", "0.9 B of GLM-5", glm_dsa_1b},
    Preset{"deepseek4-1b", "1.0 B of DeepSeek V4 Flash", deepseek4_1b},
    Preset{"deepseek32-long", "small, for long contexts: 1,024 positions chosen", deepseek32_long},
    Preset{"deepseek4-long", "small, for long contexts: 512 entries chosen", deepseek4_long},
    Preset{"minimax-m3-long", "small, for long contexts: 16 blocks of 64 chosen", minimax_m3_long},
    Preset{"gpt-oss-20b", "the shape of gpt-oss-20b in its own formats: 13 GB", gpt_oss_20b},
};

}  // namespace

std::span<const Preset> large_presets() {
  return kLargePresets;
}

}  // namespace potluck::test
