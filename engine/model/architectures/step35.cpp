// Step 3.5: layers with a window have other heads than full ones, which turn half of each head by a
// base of their own; a gate for each head; experts by sigmoid with a bias for choosing, of which
// some layers clamp what SiLU gives.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// A scaling of rope, if there is one, is that of full layers.
void read_ropes(ConfigReader& reader, ModelConfig* config) {
  reader.add_window_rope(config);
  config->window_rope.scaling = RopeScaling::kNone;
  config->window_rope.magnitude = 1;
  config->rope.dimensions /= 2;
}

ExpertActivation activation_with(const std::vector<float>& limits) {
  return limits.empty() ? ExpertActivation::kSwiGlu : ExpertActivation::kSwiGluClampAfter;
}

}  // namespace

Result<ModelConfig> read_step35_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.attention_gate = AttentionGate::kPerHead;
  reader.read_windows(4, &config);
  read_ropes(reader, &config);
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  config.expert_limits = reader.limits_of_layers("swiglu_clamp_exp", config.layers);
  config.expert_activation = activation_with(config.expert_limits);
  config.ffn_limits = reader.limits_of_layers("swiglu_clamp_shexp", config.layers);
  config.ffn_activation = activation_with(config.ffn_limits);
  return reader.finish(config);
}

}  // namespace potluck
