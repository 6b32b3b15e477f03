// Llama 4: of four layers three turn, norm their heads and see the chunk of positions that they are
// in; the fourth sees everything, does not turn, and its queries grow with their position. One
// expert by sigmoid, which multiplies its input, and a shared one. The sizes of chunks and the
// growth stand in no key.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

constexpr uint32_t kChunk = 8192;
constexpr uint32_t kPeriod = 4;
// Maverick, alone, does not norm its heads; only the number of its experts tells.
constexpr uint32_t kExpertsWithoutNorm = 128;

}  // namespace

Result<ModelConfig> read_llama4_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.pairs = RopePairs::kNeighbors;
  // 0 says: no windows, and every layer turns.
  if (!reader.has("attention.sliding_window") ||
      reader.count_or_zero("attention.sliding_window", limits::kContext) > 0) {
    config.sliding_window = kChunk;
    config.chunked_windows = true;
    config.full_attention_interval = kPeriod;
    config.query_temperature = {kChunk, 0.1};
    reader.read_rope_of_windows_only(0, &config);
  }
  config.expert_layer_step = reader.layer_period("interleave_moe_layer_step");
  config.router.normalize_weights = false;
  reader.read_sparse_layers(&config);
  config.router.gating = Gating::kSigmoidOfChosen;
  config.router.scales_input = true;
  if (config.router.experts != kExpertsWithoutNorm) config.head_norm = HeadNorm::kTurnedHeads;
  return reader.finish(config);
}

}  // namespace potluck
