// Qwen3.5 and 3.6, MoE: like Qwen3-Next, with other tensors for the delta net. Their rope has
// sections for images; all sections of a text token turn alike.
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen35moe_config(const GgufModel& model) {
  Result<ModelConfig> config = read_qwen3next_config(model);
  if (!config) return config.error();
  config->delta.joined_beta_alpha = false;
  // The converter writes the value heads of this architecture in another order than those of
  // Qwen3-Next. The wrong pairing with key heads gives fluent nonsense, not an error.
  config->delta.tiled_heads = true;
  return config;
}

}  // namespace potluck
