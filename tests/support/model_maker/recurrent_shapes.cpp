// Families of which some layers keep a state instead of keys and values.
#include <array>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

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
  start_from("granitemoe", shape);
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

constexpr std::array kRecurrentPresets = {
    Preset{"qwen3next", "tiny Qwen3-Next", qwen3next},
    Preset{"qwen35moe", "tiny Qwen3.5-MoE", qwen35moe},
    Preset{"kimi-linear", "tiny Kimi Linear: delta attention, latent attention", kimi_linear},
    Preset{"lfm2moe", "tiny LFM2-MoE: short convolutions", lfm2moe},
    Preset{"granitehybrid", "tiny Granite 4: Mamba-2", granitehybrid},
    Preset{"nemotron-h-moe", "tiny Nemotron-H MoE: layers that are one thing", nemotron_h_moe},
    Preset{"nemotron-h-moe-latent", "tiny Nemotron-H MoE with latent experts",
           nemotron_h_moe_latent},
};

}  // namespace

std::span<const Preset> recurrent_presets() {
  return kRecurrentPresets;
}

}  // namespace potluck::test
