// OLMoE: an RMS norm over all heads of queries and keys together; weights of experts are used as
// they are. feed_forward_length is the experts' width.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_olmoe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kFullWidth;
  reader.read_experts(&config);
  config.router.normalize_weights = false;
  config.expert_width = reader.count("feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
