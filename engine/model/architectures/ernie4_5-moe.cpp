// Ernie 4.5, MoE: neighbors turn in rope; the first layers dense, then every so many-th with
// experts, by softmax with a bias for choosing; shared experts.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_ernie4_5_moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  config.projection_biases = reader.has_tensor("blk.0.attn_q.bias");
  config.output_bias = reader.has_tensor("blk.0.attn_output.bias");
  config.expert_layer_step = reader.layer_period("interleave_moe_layer_step");
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
