// DeepSeek V2, V3 and R1, and GLM-4.7-Flash: latent attention, the first layers dense, shared
// experts. V3 chooses experts by sigmoid with a bias, from the best groups; V2 by softmax.
#include <algorithm>
#include <cmath>

#include "engine/kernels/exact_math.h"
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// Early files of GLM-4.7-Flash do not say how experts are gated.
bool is_glm_flash(const ModelConfig& config) {
  return (config.layers == 47 || config.layers == 48) && config.vocabulary == 154880;
}

// The cache holds one compressed vector per position: what rope does not touch, then what it turns.
void read_latent(ConfigReader& reader, ModelConfig* config) {
  LatentConfig& latent = config->latent;
  latent.rank = reader.count("attention.kv_lora_rank", limits::kHeadDimension);
  latent.query_rank = reader.count_or_zero("attention.q_lora_rank", limits::kHidden);
  uint32_t key = reader.count("attention.key_length_mla", limits::kHeadDimension);
  config->rope.dimensions = reader.count("rope.dimension_count", limits::kHeadDimension);
  latent.plain_dimensions = key - std::min(key, config->rope.dimensions);
  latent.value_dimensions = reader.count("attention.value_length_mla", limits::kHeadDimension);
  config->kv_heads = 1;
  config->head_dim = latent.rank + config->rope.dimensions;
  config->value_dim = latent.rank;
  // By the size of a head as it was trained, not by that of the latent vector that is compared.
  config->attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(key)));
}

// Where others multiply queries and keys by a magnitude for YaRN, DeepSeek multiplies the scores by
// its square.
void read_yarn_magnitude(ConfigReader& reader, ModelConfig* config) {
  if (config->rope.scaling != RopeScaling::kYarn) return;
  if (!reader.has("rope.scaling.yarn_log_multiplier")) return;
  double multiplier = reader.number("rope.scaling.yarn_log_multiplier");
  if (!(config->rope.factor >= 1)) return;  // finish() refuses it
  config->rope.magnitude = 1;
  double magnitude = 1.0 + multiplier * exact_log64(config->rope.factor);
  config->attention_scale *= static_cast<float>(magnitude * magnitude);
}

}  // namespace

Result<ModelConfig> read_deepseek2_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  read_latent(reader, &config);
  read_yarn_magnitude(reader, &config);
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
