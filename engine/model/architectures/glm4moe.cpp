// GLM-4.5 and its successors: rope on half of each head, the first layers dense, a shared expert,
// experts by sigmoid with a bias for choosing. The smaller ones have no norm on queries and keys.
// block_count includes the layers that predict tokens ahead.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_glm4moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  bool head_norm = reader.has_tensor("blk.0.attn_q_norm.weight");
  config.head_norm = head_norm ? HeadNorm::kPerHead : HeadNorm::kNone;
  config.projection_biases = reader.has_tensor("blk.0.attn_q.bias");
  // In spite of its name this norm stands before the feed-forward part.
  config.ffn_norm_name = "post_attention_norm";
  reader.read_experts(&config);
  // What holds where the file says nothing; read_router() takes what it says.
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  config.router.selection_bias = true;
  reader.read_router(&config.router);
  config.leading_dense_layers = reader.count_or_zero("leading_dense_block_count", config.layers);
  config.ffn_width = reader.count_of_first("feed_forward_length", limits::kExpertWidth,
                                           config.leading_dense_layers);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  return reader.finish(config);
}

}  // namespace potluck
