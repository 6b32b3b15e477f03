// Command A, MoE: attention and the feed-forward part read one norm of the residual, and both are
// added to it; layers with a window turn, as do the first, dense ones; what shared and routed
// experts add is averaged.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_cohere2moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  // Which norm it is, only the key of its epsilon says.
  const bool is_rms = reader.has(ConfigReader::kRmsEpsilonKey);
  ModelConfig config =
      reader.read_common(is_rms ? ConfigReader::kRmsEpsilonKey : "attention.layer_norm_epsilon");
  config.norm = is_rms ? NormKind::kRms : NormKind::kLayer;
  config.parallel_block = true;
  config.rope.pairs = RopePairs::kNeighbors;
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  if (config.shared_width > 0) config.expert_scale = 0.5F;
  reader.read_windows(4, &config);
  if (config.window_layers.empty()) {  // a period, which begins with a layer that sees everything
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
      config.window_layers.push_back(layer % config.full_attention_interval == 0 ? 0 : 1);
    }
  }
  reader.read_rope_of_windows_only(config.leading_dense_layers, &config);
  config.logit_divisor = static_cast<float>(1.0 / reader.number("logit_scale"));
  return reader.finish(config);
}

}  // namespace potluck
