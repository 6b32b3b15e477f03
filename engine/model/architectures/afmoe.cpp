// Trinity: of four layers three look back over a window and turn, the fourth sees everything and
// does not turn; attention is gated value by value; norms before and after both parts of a layer;
// the experts of DeepSeek V3.
#include <cmath>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_afmoe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden)));
  config.head_norm = HeadNorm::kPerHead;
  config.attention_gate = AttentionGate::kPerValue;
  config.post_norms = true;
  reader.read_windows(4, &config);
  reader.read_rope_of_windows_only(0, &config);
  config.router.gating = Gating::kSigmoid;
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  return reader.finish(config);
}

}  // namespace potluck
