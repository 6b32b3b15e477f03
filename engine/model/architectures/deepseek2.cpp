// DeepSeek V2, V3 and R1, and GLM-4.7-Flash: latent attention, the first layers dense, shared
// experts. V3 chooses experts by sigmoid with a bias, from the best groups; V2 by softmax.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// Early files of GLM-4.7-Flash do not say how experts are gated.
bool is_glm_flash(const ModelConfig& config) {
  return (config.layers == 47 || config.layers == 48) && config.vocabulary == 154880;
}

}  // namespace

Result<ModelConfig> read_deepseek2_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  reader.read_latent_attention(&config);
  reader.read_experts(&config);
  config.router.gating = is_glm_flash(config) ? Gating::kSigmoid : Gating::kSoftmax;
  config.router.normalize_weights = false;
  reader.read_router(&config.router);
  config.leading_dense_layers = reader.count_or_zero("leading_dense_block_count", config.layers);
  // No key says it. The first layer with experts has the tensor, or none has.
  std::string bias = "blk." + std::to_string(config.leading_dense_layers) + ".exp_probs_b.bias";
  config.router.selection_bias = reader.has_tensor(bias);
  // V2 ranks groups by their best expert.
  config.router.groups_by_best_two = config.router.selection_bias;
  config.ffn_width = reader.count_of_first("feed_forward_length", limits::kExpertWidth,
                                           config.leading_dense_layers);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  return reader.finish(config);
}

}  // namespace potluck
