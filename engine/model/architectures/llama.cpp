// Llama, and Mixtral under the same name: neighbors turn in rope, whose frequencies a tensor may
// stretch. With experts, feed_forward_length is their width.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_llama_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  // Converters reorder the rows of queries and keys for it.
  config.rope.pairs = RopePairs::kNeighbors;
  config.projection_biases = reader.has_tensor("blk.0.attn_q.bias");
  config.output_bias = reader.has_tensor("blk.0.attn_output.bias");
  uint32_t width = reader.count("feed_forward_length", limits::kExpertWidth);
  if (reader.count_or_zero("expert_count", limits::kExperts) == 0) {
    config.ffn_width = width;
    return reader.finish(config);
  }
  reader.read_experts(&config);
  config.expert_width = width;
  return reader.finish(config);
}

}  // namespace potluck
