// Qwen3-Next: three of four layers are gated delta nets, the others attention whose heads are
// gated; rope on a quarter of each head; a shared expert behind a gate of its own.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_qwen3next_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.attention_gate = AttentionGate::kInQueries;
  config.full_attention_interval = 4;
  reader.read_delta_net(&config);
  config.delta.joined_beta_alpha = true;
  config.ffn_norm_name = "post_attention_norm";
  reader.read_experts(&config);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  config.shared_gate = true;
  return reader.finish(config);
}

}  // namespace potluck
