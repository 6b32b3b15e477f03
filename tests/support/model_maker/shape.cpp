#include "tests/support/model_maker/shape.h"

#include <array>
#include <cmath>

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

// Of qwen2moe, olmoe and others below that have heads of 16, llama.cpp reads only files whose heads
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

void gpt_oss(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "gpt-oss";
  c.layers = 4;
  c.head_norm = HeadNorm::kNone;
  c.projection_biases = true;
  c.output_bias = true;
  c.sinks = Sinks::kAllLayers;
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

// Experts as DeepSeek V3 has them, beside ordinary attention.
void sparse_layers(ModelConfig& c) {
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.router.weight_scale = 2.5F;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
  c.shared_width = 64;
}

// Windows, but for every fourth layer.
void three_of_four(ModelConfig& c) {
  c.layers = 5;
  c.sliding_window = 8;
  c.full_attention_interval = 4;
}

// The same as a list; layers without a window do not turn.
void windows_that_turn(ModelConfig& c) {
  three_of_four(c);
  for (uint32_t layer = 0; layer < c.layers; ++layer) {
    bool full = (layer + 1) % 4 == 0;
    c.window_layers.push_back(full ? 0 : 1);
    c.layer_ropes.push_back(full ? LayerRope::kNone : LayerRope::kMain);
  }
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

void exaone_moe(ModelShape& shape) {
  shape.config.architecture = "exaone-moe";
  sparse_layers(shape.config);
  windows_that_turn(shape.config);
}

void afmoe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "afmoe";
  sparse_layers(c);
  windows_that_turn(c);
  c.embedding_scale = 8;  // the root of the hidden size
  c.attention_gate = AttentionGate::kPerValue;
  c.post_norms = true;
}

void mimo2(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "mimo2";
  sparse_layers(c);
  three_of_four(c);
  c.router.weight_scale = 1;
  c.shared_width = 0;
  c.head_norm = HeadNorm::kNone;
  c.value_dim = 16;
  c.value_scale = 0.7F;
  c.sinks = Sinks::kWindowLayers;
  c.rope.dimensions = 16;
  c.window_rope = c.rope;
  c.window_rope.base = 1e4;
  for (uint32_t layer = 0; layer < c.layers; ++layer) {
    bool full = (layer + 1) % 4 == 0;
    c.window_layers.push_back(full ? 0 : 1);
    c.layer_ropes.push_back(full ? LayerRope::kMain : LayerRope::kWindow);
    c.layer_kv_heads.push_back(full ? 1 : 2);
  }
}

// Window layers with a rope of their own.
void ropes_by_window(ModelConfig& c) {
  for (uint8_t window : c.window_layers) {
    c.layer_ropes.push_back(window != 0 ? LayerRope::kWindow : LayerRope::kMain);
  }
}

void gemma4(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "gemma4";
  c.layers = 6;
  c.embedding_scale = 8;  // the root of the hidden size
  c.attention_scale = 1;
  c.value_norm = true;
  c.post_norms = true;
  c.sliding_window = 8;
  c.window_layers = {1, 1, 0, 1, 1, 0};
  c.window_rope = c.rope;
  c.window_rope.base = 1e4;
  c.window_rope.dimensions = 16;
  ropes_by_window(c);
  for (uint8_t window : c.window_layers) {
    c.layer_head_dims.push_back(window != 0 ? 16 : 32);
    c.layer_kv_heads.push_back(window != 0 ? 2 : 1);
    c.key_values.push_back(window != 0 ? 0 : 1);
  }
  c.layer_value_dims = c.layer_head_dims;
  c.ffn_width = 128;
  c.layer_ffn_widths.assign(c.layers, 128);
  c.ffn_activation = ExpertActivation::kGeGlu;
  c.expert_activation = ExpertActivation::kGeGlu;
  c.dense_beside_experts = true;
  c.router.input = RouterInput::kScaledNorm;
  c.expert_scales = true;
  c.layer_scales = true;
  c.logit_cap = 30;
  shape.joins_gate_up = true;
}

// As the small ones are: no experts, shared keys and values, per-layer inputs.
void gemma4_small(ModelShape& shape) {
  gemma4(shape);
  ModelConfig& c = shape.config;
  c.router = {};
  c.expert_width = 0;
  c.expert_activation = ExpertActivation::kSwiGlu;
  c.expert_scales = false;
  c.dense_beside_experts = false;
  c.window_layers = {1, 0, 1, 0, 1, 0};
  c.layer_ropes.clear();
  ropes_by_window(c);
  c.layer_kv_heads.clear();
  c.layer_head_dims = {16, 32, 16, 32, 16, 32};
  c.layer_value_dims = c.layer_head_dims;
  c.key_values.assign(c.layers, 0);
  c.kv_layers = {0, 1, 2, 3, 2, 3};
  c.layer_ffn_widths = {64, 64, 64, 64, 128, 128};
  c.per_layer_width = 16;
  shape.joins_gate_up = false;
}

void smallthinker(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "smallthinker";
  c.layers = 4;
  c.head_norm = HeadNorm::kNone;
  c.sliding_window = 8;
  c.full_attention_interval = 4;
  c.window_layers = {0, 1, 1, 1};
  for (uint8_t window : c.window_layers) {
    c.layer_ropes.push_back(window != 0 ? LayerRope::kMain : LayerRope::kNone);
  }
  c.router.gating = Gating::kSigmoid;
  c.router.input = RouterInput::kLayerInput;
  c.expert_activation = ExpertActivation::kReGlu;
}

void step35(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "step35";
  sparse_layers(c);
  c.layers = 5;
  c.heads = 6;
  c.layer_heads = {4, 6, 6, 6, 4};
  c.attention_gate = AttentionGate::kPerHead;
  c.sliding_window = 8;
  c.window_layers = {0, 1, 1, 1, 0};
  c.window_rope = c.rope;
  c.window_rope.base = 1e4;
  c.rope.dimensions = 16;
  ropes_by_window(c);
  c.expert_activation = ExpertActivation::kSwiGluClampAfter;
  c.expert_limits = {0, 0, 0, 0.5F, 1.5F};
  c.ffn_activation = ExpertActivation::kSwiGluClampAfter;
  c.ffn_limits = {0, 0, 0, 0, 1};
}

void llama4(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "llama4";
  c.layers = 4;
  c.rope.pairs = RopePairs::kNeighbors;
  c.head_norm = HeadNorm::kTurnedHeads;
  c.full_attention_interval = 4;
  c.sliding_window = 8192;
  c.chunked_windows = true;
  c.query_temperature = {8192, 0.1};
  c.layer_ropes = {LayerRope::kMain, LayerRope::kMain, LayerRope::kMain, LayerRope::kNone};
  c.router.top_k = 1;
  c.router.gating = Gating::kSigmoidOfChosen;
  c.router.normalize_weights = false;
  c.router.scales_input = true;
  c.expert_layer_step = 2;
  c.ffn_width = 128;
  c.leading_dense_layers = 1;
  c.shared_width = 64;
}

void cohere2moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "cohere2moe";
  sparse_layers(c);
  windows_that_turn(c);
  c.norm = NormKind::kLayer;
  c.parallel_block = true;
  c.head_norm = HeadNorm::kNone;
  c.rope.pairs = RopePairs::kNeighbors;
  c.router.selection_bias = false;
  c.expert_scale = 0.5F;
  c.logit_divisor = 4;
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

void minimax_m3(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "minimax-m3";
  sparse_layers(c);
  c.rope.dimensions = 16;
  c.expert_activation = ExpertActivation::kSwiGluOai;
  c.ffn_activation = ExpertActivation::kSwiGluOai;
  c.indexer.kind = IndexerKind::kBlocks;
  c.indexer.heads = c.kv_heads;
  c.indexer.dimensions = 32;
  c.indexer.top_k = 3;
  c.indexer.block = 8;
  c.indexer.local_blocks = 1;
  c.indexer.layers = {0, 1, 1};
}

void deepseek32(ModelShape& shape) {
  deepseek_v3(shape);
  ModelConfig& c = shape.config;
  c.architecture = "deepseek32";
  c.indexer.kind = IndexerKind::kPositions;
  c.indexer.heads = 8;
  c.indexer.dimensions = 64;  // llama.cpp turns 64 at a time
  c.indexer.top_k = 32;
}

void glm_dsa(ModelShape& shape) {
  deepseek32(shape);
  ModelConfig& c = shape.config;
  c.architecture = "glm-dsa";
  c.router.groups = 1;
  c.router.groups_used = 1;
  c.indexer.pairs = RopePairs::kNeighbors;
  c.indexer.layers = {1, 0, 1};
}

void deepseek4(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "deepseek4";
  c.layers = 4;
  set_heads(c, 4, 1, 64);
  c.head_norm = HeadNorm::kNone;
  c.rope.pairs = RopePairs::kNeighbors;
  c.rope.dimensions = 16;
  c.rope.base = 160000;
  c.window_rope = c.rope;
  c.window_rope.base = 1e4;
  c.sinks = Sinks::kAllLayers;
  c.sliding_window = 16;
  c.compressed.query_rank = 32;
  c.compressed.output_groups = 2;
  c.compressed.output_rank = 32;
  c.compressed.ratios = {0, 4, 128, 4};
  c.indexer.kind = IndexerKind::kEntries;
  c.indexer.heads = 8;
  c.indexer.dimensions = 64;  // llama.cpp turns 64 at a time
  c.indexer.top_k = 32;
  c.indexer.pairs = c.rope.pairs;
  c.indexer.layers = {0, 1, 0, 1};
  c.layer_ropes = {LayerRope::kWindow, LayerRope::kMain, LayerRope::kMain, LayerRope::kMain};
  c.hyper.streams = 4;
  c.hyper.iterations = 20;
  c.hyper.epsilon = 1e-6F;
  c.router.gating = Gating::kSqrtSoftplus;
  c.router.selection_bias = true;
  c.router.weight_scale = 1.5F;
  c.router.hash_layers = 1;
  c.shared_width = 64;
  c.expert_activation = ExpertActivation::kSwiGluClampBefore;
  c.ffn_activation = ExpertActivation::kSwiGluClampBefore;
  c.expert_limits = {1.5F, 1.5F, 0, 1.5F};
  c.ffn_limits = {1.5F, 0, 1.5F, 1.5F};
}

void qwen35moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "qwen35moe";
  c.layers = 4;
  c.attention_gate = AttentionGate::kInQueries;
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

void lfm2moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "lfm2moe";
  c.layers = 4;
  // llama.cpp takes the sizes of heads from that of the hidden state.
  set_heads(c, 4, 2, 16);
  c.short_convolution = 3;
  c.mixers = {MixerKind::kShortConvolution, MixerKind::kAttention, MixerKind::kShortConvolution,
              MixerKind::kAttention};
  c.output_norm_name = "token_embd_norm";
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
}

void set_mamba(ModelConfig& c) {
  c.mamba.heads = 4;
  c.mamba.head_dim = 32;
  c.mamba.groups = 2;
  c.mamba.state = 16;
  c.mamba.convolution = 4;
}

void granitehybrid(ModelShape& shape) {
  granitemoe(shape);
  ModelConfig& c = shape.config;
  c.architecture = "granitehybrid";
  c.rope.dimensions = 0;
  c.shared_width = 64;
  c.mixers = {MixerKind::kMamba, MixerKind::kAttention, MixerKind::kMamba};
  set_mamba(c);
}

void nemotron_h_moe(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "nemotron_h_moe";
  c.layers = 5;
  c.head_norm = HeadNorm::kNone;
  c.rope.base = 1e4;
  c.rope.dimensions = 0;
  set_mamba(c);
  c.mixers = {MixerKind::kMamba, MixerKind::kNone, MixerKind::kAttention, MixerKind::kNone,
              MixerKind::kMamba};
  c.feed_forwards = {FeedForwardKind::kNone, FeedForwardKind::kExperts, FeedForwardKind::kNone,
                     FeedForwardKind::kExperts, FeedForwardKind::kNone};
  c.ffn_norm_name = "attn_norm";
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.router.weight_scale = 2.5F;
  c.shared_width = 128;
  c.expert_activation = ExpertActivation::kReluSquared;
  c.ffn_activation = ExpertActivation::kReluSquared;
}

void nemotron_h_moe_latent(ModelShape& shape) {
  nemotron_h_moe(shape);
  shape.config.latent_width = 32;
}

void kimi_linear(ModelShape& shape) {
  ModelConfig& c = shape.config;
  c.architecture = "kimi-linear";
  c.layers = 4;
  c.head_norm = HeadNorm::kNone;
  c.kv_heads = 1;
  c.rope.dimensions = 0;
  c.rope.base = 1e4;
  c.latent.rank = 32;
  c.latent.plain_dimensions = 32;
  c.latent.shared_dimensions = 16;
  c.latent.value_dimensions = 32;
  c.kimi.heads = c.heads;
  c.kimi.head_dim = 16;
  c.kimi.convolution = 4;
  c.mixers = {MixerKind::kKimiDelta, MixerKind::kKimiDelta, MixerKind::kKimiDelta,
              MixerKind::kLatentAttention};
  c.router.gating = Gating::kSigmoid;
  c.router.selection_bias = true;
  c.router.weight_scale = 2.5F;
  c.leading_dense_layers = 1;
  c.ffn_width = 128;
  c.shared_width = 64;
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

void gemma4_26b(ModelShape& shape) {
  gemma4(shape);
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

constexpr std::array kPresets = {
    Preset{"qwen3moe", "tiny Qwen3-MoE", qwen3moe},
    Preset{"qwen3", "tiny dense Qwen3", qwen3},
    Preset{"llama", "tiny dense Llama", llama},
    Preset{"mixtral", "tiny Mixtral", mixtral},
    Preset{"qwen2moe", "tiny Qwen2-MoE", qwen2moe},
    Preset{"olmoe", "tiny OLMoE", olmoe},
    Preset{"granitemoe", "tiny Granite-MoE", granitemoe},
    Preset{"granitehybrid", "tiny Granite 4: Mamba-2", granitehybrid},
    Preset{"kimi-linear", "tiny Kimi Linear: delta attention, latent attention", kimi_linear},
    Preset{"lfm2moe", "tiny LFM2-MoE: short convolutions", lfm2moe},
    Preset{"nemotron-h-moe", "tiny Nemotron-H MoE: layers that are one thing", nemotron_h_moe},
    Preset{"nemotron-h-moe-latent", "tiny Nemotron-H MoE with latent experts",
           nemotron_h_moe_latent},
    Preset{"gpt-oss", "tiny gpt-oss", gpt_oss},
    Preset{"deepseek-v2", "tiny DeepSeek V2-Lite: queries not compressed, softmax", deepseek_v2},
    Preset{"deepseek-v3", "tiny DeepSeek V3: groups, sigmoid with a bias", deepseek_v3},
    Preset{"glm4moe", "tiny GLM-4.5", glm4moe},
    Preset{"minimax-m2", "tiny MiniMax-M2", minimax_m2},
    Preset{"qwen3next", "tiny Qwen3-Next", qwen3next},
    Preset{"qwen35moe", "tiny Qwen3.5-MoE", qwen35moe},
    Preset{"qwen3vlmoe", "tiny Qwen3-VL-MoE, text part", qwen3vlmoe},
    Preset{"ernie4_5-moe", "tiny Ernie 4.5", ernie4_5_moe},
    Preset{"bailingmoe2", "tiny Ling 2: groups, one matrix for queries, keys, values", bailingmoe2},
    Preset{"hunyuan-moe", "tiny Hunyuan A13B", hunyuan_moe},
    Preset{"hy_v3", "tiny Hunyuan 3", hy_v3},
    Preset{"dots1", "tiny dots.llm1", dots1},
    Preset{"exaone-moe", "tiny K-EXAONE: windows, of which alone layers turn", exaone_moe},
    Preset{"afmoe", "tiny Trinity: the same, gates, norms after both parts", afmoe},
    Preset{"mimo2", "tiny MiMo-V2: layers differ in KV heads, rope and sinks", mimo2},
    Preset{"gemma4", "tiny Gemma 4: experts beside a dense part, values that are keys", gemma4},
    Preset{"gemma4-small", "tiny Gemma 4, dense: shared keys and values, per-layer inputs",
           gemma4_small},
    Preset{"smallthinker", "tiny SmallThinker: routers read the layer's input", smallthinker},
    Preset{"step35", "tiny Step 3.5: layers differ in heads, experts with limits", step35},
    Preset{"llama4", "tiny Llama 4: chunked windows, one expert whose input is scaled", llama4},
    Preset{"cohere2moe", "tiny Command A, MoE: parallel blocks, layer norms", cohere2moe},
    Preset{"phimoe", "tiny Phi-3.5-MoE: sparse mixer, layer norms", phimoe},
    Preset{"mistral4", "tiny Mistral Small 4: latent attention, softmax", mistral4},
    Preset{"minimax-m3", "tiny MiniMax-M3: the best blocks of positions", minimax_m3},
    Preset{"deepseek32", "tiny DeepSeek V3.2: the best positions", deepseek32},
    Preset{"deepseek4", "tiny DeepSeek V4: windows, compressed entries, hyper-connections",
           deepseek4},
    Preset{"glm-dsa", "tiny GLM-5: the same, chosen in some layers", glm_dsa},
    Preset{"small", "0.8 B parameters, Qwen3-MoE: for benchmarks in memory", small},
    Preset{"a3b", "the shape of Qwen3-30B-A3B, Q4_K with the output in Q6_K: 17 GB", a3b},
    Preset{"a3b-8", "the same with 8 of its 48 layers: 3 GB", a3b_8},
    Preset{"gemma4-26b", "the shape of Gemma 4 26B-A4B, Q4_K_M: 17 GB", gemma4_26b},
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
