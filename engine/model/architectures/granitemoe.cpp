// Granite MoE: Llama with multipliers for embeddings, scores, residuals and logits; some have no
// rope. feed_forward_length is the experts' width.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_granitemoe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  if (!reader.boolean_or("rope.scaling.finetuned", true)) config.rope.dimensions = 0;
  config.output_bias = reader.has_tensor("blk.0.attn_output.bias");
  config.embedding_scale = static_cast<float>(reader.number_or("embedding_scale", 1.0));
  config.residual_scale = static_cast<float>(reader.number_or("residual_scale", 1.0));
  // Called a scale in the file, but logits are divided by it.
  config.logit_divisor = static_cast<float>(reader.number_or("logit_scale", 1.0));
  if (double scale = reader.number_or("attention.scale", 0); scale != 0) {
    config.attention_scale = static_cast<float>(scale);
  }
  if (reader.count_or_zero("expert_count", limits::kExperts) == 0) {
    config.ffn_width = reader.count("feed_forward_length", limits::kExpertWidth);
    return reader.finish(config);
  }
  reader.read_experts(&config);
  config.expert_width = reader.count("feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  return reader.finish(config);
}

}  // namespace potluck
