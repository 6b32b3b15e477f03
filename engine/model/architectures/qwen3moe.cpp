// Qwen3-MoE: the attention of Qwen3; every layer has routed experts. feed_forward_length stands in
// the files, but no layer uses it.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen3moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  reader.read_experts(&config);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
