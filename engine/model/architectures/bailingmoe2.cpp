// Ling 2 and Ring 2: queries, keys and values in one matrix, rope on a part of each head, experts
// by sigmoid with a bias for choosing, from the best groups.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_bailingmoe2_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
