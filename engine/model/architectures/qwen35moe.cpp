// Qwen3.5 and 3.6, MoE: like Qwen3-Next, with other tensors for the delta net. Their rope has
// sections for images; all sections of a text token turn alike.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen35moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.gated_attention = true;
  config.full_attention_interval = 4;
  reader.read_delta_net(&config);
  config.delta.tiled_heads = true;
  config.ffn_norm_name = "post_attention_norm";
  reader.read_experts(&config);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  config.shared_gate = true;
  return reader.finish(config);
}

}  // namespace potluck
