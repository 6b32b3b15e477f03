// Phi-3.5-MoE: layer norms and biases everywhere; two experts by the sparse mixer. llama.cpp
// computes RMS norms and a softmax here, and differs. Published files have two lists of rope's
// divisors.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_phimoe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.norm = NormKind::kLayer;  // in spite of the key's name
  config.norm_biases = true;
  config.projection_biases = true;
  config.output_bias = true;
  config.logit_bias = reader.has_tensor("output.bias");
  // Published files have none, or one as wide as the context.
  config.sliding_window = reader.count_or_zero("attention.sliding_window", limits::kContext);
  if (config.sliding_window > 0) config.window_layers.assign(config.layers, 1);
  config.router.gating = Gating::kSparseMixer;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
