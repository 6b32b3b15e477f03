// Qwen2-MoE: biases on queries, keys and values; a shared expert behind a gate of its own; weights
// of experts are used as they are.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen2moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.projection_biases = true;
  reader.read_experts(&config);
  config.router.normalize_weights = false;
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  const char* shared_key = reader.has("expert_shared_feed_forward_length")
                               ? "expert_shared_feed_forward_length"
                               : "feed_forward_length";
  config.shared_width = reader.count(shared_key, limits::kExpertWidth);
  config.shared_gate = true;
  return reader.finish(config);
}

}  // namespace potluck
