// Nemotron-H MoE (Nemotron 3): every layer is one thing, Mamba-2, attention without rope or
// experts, behind one norm. Experts are up and down without a gate, by squared ReLU, and may work
// in a narrower space; they are chosen by sigmoid with a bias.
#include "engine/model/architectures/config_reader.h"
#include "engine/model/architectures/families.h"

namespace potluck {
namespace {

void read_layers(ConfigReader& reader, ModelConfig* config) {
  reader.read_mixers(MixerKind::kMamba, config);
  const auto widths =
      reader.counts_of_layers("feed_forward_length", limits::kExpertWidth, config->layers);
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    bool experts = widths[layer] > 0;
    config->feed_forwards.push_back(experts ? FeedForwardKind::kExperts : FeedForwardKind::kNone);
    if (experts) config->mixers[layer] = MixerKind::kNone;
  }
}

}  // namespace

Result<ModelConfig> read_nemotron_h_moe_config(const GgufModel& model) {
  ConfigReader reader(model);
  ModelConfig config = reader.read_common();
  config.rope.dimensions = 0;
  reader.read_mamba(&config);
  read_layers(reader, &config);
  config.ffn_norm_name = "attn_norm";
  reader.read_experts(&config);
  config.router.gating = Gating::kSigmoid;
  config.router.selection_bias = true;
  config.router.normalize_weights = false;
  reader.read_router(&config.router);
  config.expert_activation = ExpertActivation::kReluSquared;
  config.ffn_activation = ExpertActivation::kReluSquared;
  config.expert_width = reader.count("expert_feed_forward_length", limits::kExpertWidth);
  config.latent_width = reader.count_or_zero("moe_latent_size", limits::kHidden);
  reader.read_shared_experts(&config);
  return reader.finish(config);
}

}  // namespace potluck
