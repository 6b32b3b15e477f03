// The tensors of a layer's mixer.
#include "tests/support/model_maker/tensor_planner.h"

namespace potluck::test {

void TensorPlanner::projections(uint64_t queries, uint64_t keys, uint64_t values) {
  double input = fan_in(c_.hidden);
  if (shape_.joins_projections) {
    return matrix(blk("attn_qkv"), queries + keys + values, c_.hidden, input);
  }
  matrix(blk("attn_q"), queries, c_.hidden, input);
  if (c_.kv_layer_of(layer_) != layer_) return;
  matrix(blk("attn_k"), keys, c_.hidden, input);
  if (!c_.has_key_values(layer_)) matrix(blk("attn_v"), values, c_.hidden, input);
  if (!c_.projection_biases) return;
  uniform_values(blk("attn_q.bias"), {queries}, -0.2, 0.2);
  uniform_values(blk("attn_k.bias"), {keys}, -0.2, 0.2);
  uniform_values(blk("attn_v.bias"), {values}, -0.2, 0.2);
}

void TensorPlanner::head_norms(uint64_t queries, uint64_t keys) {
  if (c_.head_norm != HeadNorm::kPerHead && c_.head_norm != HeadNorm::kFullWidth) return;
  bool per_head = c_.head_norm == HeadNorm::kPerHead;
  norm(blk("attn_q_norm"), per_head ? c_.head_dim_of(layer_) : queries);
  if (c_.kv_layer_of(layer_) != layer_) return;
  norm(blk("attn_k_norm"), per_head ? c_.head_dim_of(layer_) : keys);
}

void TensorPlanner::attention() {
  uint64_t heads = c_.heads_of(layer_);
  uint64_t kv_heads = c_.kv_heads_of(layer_);
  uint64_t queries = heads * c_.head_dim_of(layer_);
  uint64_t keys = kv_heads * c_.head_dim_of(layer_);
  uint64_t attended = heads * c_.value_dim_of(layer_);
  bool has_gates = c_.attention_gate == AttentionGate::kInQueries;
  projections(has_gates ? 2 * queries : queries, keys, kv_heads * c_.value_dim_of(layer_));
  head_norms(queries, keys);
  double input = fan_in(c_.hidden);
  if (c_.attention_gate == AttentionGate::kPerValue) {
    matrix(blk("attn_gate"), attended, c_.hidden, input);
  } else if (c_.attention_gate == AttentionGate::kPerHead) {
    matrix(blk("attn_gate"), heads, c_.hidden, input);
  }
  if (c_.has_sinks(layer_)) uniform_values(blk("attn_sinks.weight"), {heads}, -1, 1);
  branch_output(blk("attn_output"), attended, 1);
  if (c_.output_bias) uniform_values(blk("attn_output.bias"), {c_.hidden}, -0.02, 0.02);
}

void TensorPlanner::latent_attention() {
  const LatentConfig& latent = c_.latent;
  uint64_t queries = uint64_t{c_.heads} * (latent.plain_dimensions + c_.latent.shared_dimensions);
  if (latent.query_rank > 0) {
    matrix(blk("attn_q_a"), latent.query_rank, c_.hidden, fan_in(c_.hidden));
    norm(blk("attn_q_a_norm"), latent.query_rank);
    matrix(blk("attn_q_b"), queries, latent.query_rank, fan_in(latent.query_rank));
  } else {
    matrix(blk("attn_q"), queries, c_.hidden, fan_in(c_.hidden));
  }
  matrix(blk("attn_kv_a_mqa"), latent.rank + c_.latent.shared_dimensions, c_.hidden,
         fan_in(c_.hidden));
  norm(blk("attn_kv_a_norm"), latent.rank);
  matrix(blk("attn_k_b"), latent.rank, latent.plain_dimensions, fan_in(latent.rank), c_.heads);
  matrix(blk("attn_v_b"), latent.value_dimensions, latent.rank, fan_in(latent.rank), c_.heads);
  branch_output(blk("attn_output"), uint64_t{c_.heads} * latent.value_dimensions, 1);
}

void TensorPlanner::indexer() {
  const uint64_t size = c_.indexer.dimensions;
  const uint64_t queries = c_.indexer.heads * size;
  const double input = fan_in(c_.hidden);
  if (c_.indexer.kind == IndexerKind::kBlocks) {
    matrix(blk("indexer.q_proj"), queries, c_.hidden, input);
    matrix(blk("indexer.k_proj"), size, c_.hidden, input);
    norm(blk("indexer.q_norm"), size);
    return norm(blk("indexer.k_norm"), size);
  }
  if (c_.indexer.kind == IndexerKind::kEntries) {
    const uint64_t rank = c_.compressed.query_rank;
    matrix(blk("indexer.attn_q_b"), queries, rank, fan_in(static_cast<double>(rank)));
    return matrix(blk("indexer.proj"), c_.indexer.heads, c_.hidden, input);
  }
  matrix(blk("indexer.attn_q_b"), queries, c_.latent.query_rank, fan_in(c_.latent.query_rank));
  matrix(blk("indexer.attn_k"), size, c_.hidden, input);
  matrix(blk("indexer.proj"), c_.indexer.heads, c_.hidden, input);
  norm(blk("indexer.k_norm"), size);
  uniform_values(blk("indexer.k_norm.bias"), {size}, -0.1, 0.1);
}

// Decays and time steps in the range in which such models are initialized for training.
void TensorPlanner::delta_net() {
  const DeltaNetConfig& delta = c_.delta;
  double input = fan_in(c_.hidden);
  matrix(blk("attn_qkv"), delta.channels(), c_.hidden, input);
  matrix(blk("attn_gate"), delta.value_columns(), c_.hidden, input);
  if (delta.joined_beta_alpha) {
    matrix(blk("ssm_ba"), 2 * delta.value_heads, c_.hidden, input);
  } else {
    matrix(blk("ssm_beta"), delta.value_heads, c_.hidden, input);
    matrix(blk("ssm_alpha"), delta.value_heads, c_.hidden, input);
  }
  uniform_values(blk("ssm_conv1d.weight"), {delta.convolution, delta.channels()}, -0.8, 0.8);
  uniform_values(blk("ssm_a"), {delta.value_heads}, -16, -1);
  uniform_values(blk("ssm_dt.bias"), {delta.value_heads}, -6, -2);
  norm(blk("ssm_norm"), delta.value_dim);
  branch_output(blk("ssm_out"), delta.value_columns(), 1);
}

void TensorPlanner::short_convolution() {
  matrix(blk("shortconv.in_proj"), 3 * uint64_t{c_.hidden}, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("shortconv.conv.weight"), {c_.short_convolution, c_.hidden}, -1, 1);
  branch_output(blk("shortconv.out_proj"), c_.hidden, 1);
}

void TensorPlanner::mamba() {
  const MambaConfig& mamba = c_.mamba;
  matrix(blk("ssm_in"), mamba.projected(), c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("ssm_conv1d.weight"), {mamba.convolution, mamba.channels()}, -0.8, 0.8);
  uniform_values(blk("ssm_conv1d.bias"), {mamba.channels()}, -0.2, 0.2);
  uniform_values(blk("ssm_a"), {1, mamba.heads}, -16, -1);
  uniform_values(blk("ssm_d"), {1, mamba.heads}, 0.5, 1.5);
  uniform_values(blk("ssm_dt.bias"), {mamba.heads}, -6, -2);
  uint64_t group = mamba.inner() / mamba.groups;
  uniform_values(blk("ssm_norm.weight"), {group, mamba.groups}, 0.8, 1.2);
  branch_output(blk("ssm_out"), mamba.inner(), 1);
}

void TensorPlanner::kimi_delta() {
  const KimiDeltaConfig& kimi = c_.kimi;
  uint32_t columns = kimi.columns();
  for (const char* part : {"q", "k", "v"}) {
    matrix(blk("attn_") + part, columns, c_.hidden, fan_in(c_.hidden));
    uniform_values(blk("ssm_conv1d_") + part + ".weight", {kimi.convolution, 1, columns}, -0.8,
                   0.8);
  }
  for (const char* part : {"f", "g"}) {
    matrix(blk("ssm_") + part + "_a", kimi.head_dim, c_.hidden, fan_in(c_.hidden));
    matrix(blk("ssm_") + part + "_b", columns, kimi.head_dim, fan_in(kimi.head_dim));
  }
  matrix(blk("ssm_beta"), kimi.heads, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk("ssm_a"), {1, kimi.heads}, -16, -1);
  uniform_values(blk("ssm_dt.bias"), {columns}, -6, -2);
  norm(blk("ssm_norm"), kimi.head_dim);
  branch_output(blk("attn_output"), columns, 1);
}

void TensorPlanner::compressed_attention() {
  const CompressedConfig& compressed = c_.compressed;
  const double input = fan_in(c_.hidden);
  matrix(blk("attn_q_a"), compressed.query_rank, c_.hidden, input);
  norm(blk("attn_q_a_norm"), compressed.query_rank);
  matrix(blk("attn_q_b"), c_.query_columns(), compressed.query_rank, fan_in(compressed.query_rank));
  matrix(blk("attn_kv"), c_.head_dim, c_.hidden, input);
  norm(blk("attn_kv_a_norm"), c_.head_dim);
  uniform_values(blk("attn_sinks.weight"), {c_.heads}, -1, 1);
  if (compressed.ratios[layer_] > 0) compressor("attn_compressor_", c_.head_dim);
  if (c_.has_indexer(layer_)) compressor("indexer_compressor_", c_.indexer.dimensions);
  const uint64_t narrow = uint64_t{compressed.output_groups} * compressed.output_rank;
  const uint64_t columns = c_.query_columns() / compressed.output_groups;
  matrix(blk("attn_output_a"), narrow, columns, fan_in(static_cast<double>(columns)));
  branch_output(blk("attn_output_b"), narrow, 1);
}

void TensorPlanner::compressor(const std::string& name, uint64_t dimensions) {
  const uint64_t ratio = c_.compressed.ratios[layer_];
  const bool overlaps = CompressedConfig::overlaps(static_cast<uint32_t>(ratio));
  const uint64_t width = overlaps ? 2 * dimensions : dimensions;
  matrix(blk(name + "kv"), width, c_.hidden, fan_in(c_.hidden));
  matrix(blk(name + "gate"), width, c_.hidden, fan_in(c_.hidden));
  uniform_values(blk(name + "ape.weight"), {width, ratio}, -0.5, 0.5);
  norm(blk(name + "norm"), dimensions);
}

}  // namespace potluck::test
