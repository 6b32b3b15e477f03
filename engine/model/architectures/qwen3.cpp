// Qwen3, dense: grouped-query attention with an RMS norm on every head of queries and keys, SwiGLU.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen3_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.ffn_width = reader.count("feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
