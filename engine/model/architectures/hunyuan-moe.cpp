// Hunyuan A13B: heads are turned first, then normed; a shared expert in every layer. Published
// files have a base of rope that is scaled for their context already.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_hunyuan_moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.rope_before_norm = true;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
