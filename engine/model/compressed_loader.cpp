// The tensors of compressed attention.
#include "engine/model/compressor_shape.h"
#include "engine/model/layer_loader.h"

namespace potluck {

CompressedAttentionWeights LayerLoader::compressed() {
  CompressedAttentionWeights w;
  const CompressedConfig& compressed = config_.compressed;
  w.query_down = matrix("attn_q_a", compressed.query_rank, config_.hidden);
  w.query_down_norm = vector("attn_q_a_norm", compressed.query_rank);
  w.query = matrix("attn_q_b", config_.query_columns(), compressed.query_rank);
  w.key = matrix("attn_kv", config_.head_dim, config_.hidden);
  w.key_norm = vector("attn_kv_a_norm", config_.head_dim);
  w.sinks = vector("attn_sinks", config_.heads);
  if (compressed.ratios[layer_] > 0) {
    w.entries = compressor("attn_compressor_", config_.head_dim);
  }
  if (config_.has_indexer(layer_)) {
    w.index_keys = compressor("indexer_compressor_", config_.indexer.dimensions);
  }
  w.output = grouped_output();
  return w;
}

CompressorWeights LayerLoader::compressor(const std::string& prefix, uint32_t dimensions) {
  CompressorWeights w;
  const CompressorShape shape(dimensions, config_.compressed.ratios[layer_]);
  w.values = matrix(prefix + "kv", shape.width(), config_.hidden);
  w.gates = matrix(prefix + "gate", shape.width(), config_.hidden);
  w.offsets = loader_.table(name(prefix + "ape.weight"), shape.ratio, shape.width());
  w.norm = vector(prefix + "norm", dimensions);
  return w;
}

GroupedOutputWeights LayerLoader::grouped_output() {
  GroupedOutputWeights w;
  const uint32_t groups = config_.compressed.output_groups;
  const uint32_t rank = config_.compressed.output_rank;
  // One matrix, one group below the other.
  for (uint32_t group = 0; group < groups; ++group) {
    w.groups.push_back(loader_.share(name("attn_output_a.weight"),
                                     {group * rank, rank, groups * rank},
                                     config_.query_columns() / groups));
  }
  w.output = matrix("attn_output_b", config_.hidden, groups * rank);
  return w;
}

}  // namespace potluck
