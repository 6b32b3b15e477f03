// MiniMax-M2: an RMS norm over all heads of queries and keys together, rope on a part of each head,
// experts by sigmoid with a bias for choosing.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_minimax_m2_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  // Over the whole projection, before it is split into heads.
  config.head_norm = HeadNorm::kFullWidth;
  reader.read_experts(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.selection_bias = true;
  reader.read_router(&config.router);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
