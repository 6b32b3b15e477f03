// Mistral Small 4: the latent attention of DeepSeek V2; experts by softmax, shared experts.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_mistral4_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  reader.read_latent_attention(&config);
  reader.refuse("attention.temperature_scale");
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
