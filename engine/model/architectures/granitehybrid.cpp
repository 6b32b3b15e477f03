// Granite 4: Granite MoE most of whose layers are Mamba-2 instead of attention.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_granitehybrid_config(const GgufModel& model) {
  Result<ModelConfig> config = read_granitemoe_config(model);
  if (!config) return config.error();
  ConfigReader reader(model);
  reader.read_mamba(&*config);
  reader.read_mixers(MixerKind::kMamba, &*config);
  return reader.finish(*config);
}

}  // namespace potluck
