// SmallThinker: the router reads the layer's input, so experts can be fetched while the layer
// attends; experts by ReLU. Where there are windows, every fourth layer from the first on sees
// everything and does not turn.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_smallthinker_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.router.gating = Gating::kSigmoid;
  config.router.input = RouterInput::kLayerInput;
  reader.read_sparse_layers(&config);
  config.expert_activation = ExpertActivation::kReGlu;
  if (!reader.has("attention.sliding_window")) return reader.finish(config);
  reader.read_windows(4, &config);
  if (config.window_layers.empty()) {
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
      config.window_layers.push_back(layer % config.full_attention_interval == 0 ? 0 : 1);
    }
  }
  reader.read_rope_of_windows_only(0, &config);
  return reader.finish(config);
}

}  // namespace potluck
