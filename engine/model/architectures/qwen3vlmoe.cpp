// Qwen3-VL, MoE, its text part: Qwen3-MoE. Rope has sections for images, which turn alike for text,
// and features of images would be added after the first layers.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen3vlmoe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  reader.read_experts(&config);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
