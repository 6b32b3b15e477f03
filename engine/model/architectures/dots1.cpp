// dots.llm1: the attention of Qwen3 with the experts of DeepSeek V3.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_dots1_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
