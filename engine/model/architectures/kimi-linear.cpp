// Kimi Linear: three of four layers are Kimi Delta Attention, the others latent attention without
// rope; the first layers dense, a shared expert, experts by sigmoid with a bias for choosing.
#include <algorithm>

#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {

Result<ModelConfig> read_kimi_linear_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  reader.read_latent_attention(&config);
  // Of each head's key some values are one for all heads; the file calls them those of rope.
  config.rope.dimensions = 0;
  config.kimi.heads = config.heads;
  config.kimi.head_dim = reader.count("kda.head_dim", limits::kHeadDimension);
  config.kimi.convolution = reader.count("ssm.conv_kernel", limits::kHeadDimension);
  reader.read_mixers(MixerKind::kKimiDelta, &config);
  std::ranges::replace(config.mixers, MixerKind::kAttention, MixerKind::kLatentAttention);
  reader.read_experts(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.selection_bias = true;
  reader.read_router(&config.router);
  config.leading_dense_layers = reader.count_or_zero("leading_dense_block_count", config.layers);
  config.ffn_width = reader.count_of_first("feed_forward_length", limits::kExpertWidth,
                                           config.leading_dense_layers);
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  reader.read_shared_experts(&config);
  return reader.finish(config);
}

}  // namespace potluck
