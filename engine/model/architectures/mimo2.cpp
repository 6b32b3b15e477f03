// MiMo-V2: layers with a window have KV heads and a base of rope of their own, and sinks; values
// are narrower than keys, and what is attended to is scaled. Experts by sigmoid with a bias for
// choosing.
#include <string>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

// No key says it. Sinks of layers without a window alone would have no place, and be refused.
Sinks read_sinks(const ConfigReader& reader, const ModelConfig& config) {
  Sinks sinks = Sinks::kNone;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!reader.has_tensor("blk." + std::to_string(layer) + ".attn_sinks.weight")) continue;
    if (config.attends_to_all(layer)) return Sinks::kAllLayers;
    sinks = Sinks::kWindowLayers;
  }
  return sinks;
}

}  // namespace

Result<ModelConfig> read_mimo2_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  reader.read_windows(1, &config);
  reader.read_window_rope(&config);
  config.sinks = read_sinks(reader, config);
  config.value_scale = static_cast<float>(reader.number_or("attention.value_scale", 1.0));
  config.router.gating = Gating::kSigmoid;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
