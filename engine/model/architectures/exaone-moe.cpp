// K-EXAONE: of four layers three look back over a window and turn, the fourth sees everything and
// does not turn; the experts of DeepSeek V3.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_exaone_moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  reader.read_windows(4, &config);
  reader.read_rope_of_windows_only(0, &config);
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
