// Families of which some layers see a window of positions only.
#include <array>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

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

constexpr std::array kWindowPresets = {
    Preset{"gpt-oss", "tiny gpt-oss", gpt_oss},
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
};

}  // namespace

std::span<const Preset> window_presets() {
  return kWindowPresets;
}

}  // namespace potluck::test
