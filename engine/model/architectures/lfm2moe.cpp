// LFM2-MoE: most layers are short convolutions, the others attention with an RMS norm on every
// head; the first layers dense, experts by sigmoid with a bias for choosing.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_lfm2moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.head_norm = HeadNorm::kPerHead;
  config.short_convolution = reader.count("shortconv.l_cache", limits::kHeadDimension);
  reader.read_mixers(MixerKind::kShortConvolution, &config);
  // In spite of its name this norm stands at the end.
  config.output_norm_name = "token_embd_norm";
  reader.read_experts(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.selection_bias = true;
  reader.read_router(&config.router);
  config.leading_dense_layers = reader.count_or_zero("leading_dense_block_count", config.layers);
  config.ffn_width = reader.count_of_first("feed_forward_length", limits::kExpertWidth,
                                           config.leading_dense_layers);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  return reader.finish(config);
}

}  // namespace potluck
