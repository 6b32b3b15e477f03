// Families whose attention sees what an indexer chooses.
#include <array>

#include "tests/support/model_maker/shape_parts.h"

namespace potluck::test {
namespace {

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
  start_from("deepseek-v3", shape);
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

constexpr std::array kSparsePresets = {
    Preset{"minimax-m3", "tiny MiniMax-M3: the best blocks of positions", minimax_m3},
    Preset{"deepseek32", "tiny DeepSeek V3.2: the best positions", deepseek32},
    Preset{"glm-dsa", "tiny GLM-5: the same, chosen in some layers", glm_dsa},
    Preset{"deepseek4", "tiny DeepSeek V4: windows, compressed entries, hyper-connections",
           deepseek4},
};

}  // namespace

std::span<const Preset> sparse_presets() {
  return kSparsePresets;
}

}  // namespace potluck::test
