#include "engine/model/token_mixer.h"

namespace potluck {
namespace {

std::unique_ptr<TokenMixer> make_mixer(MixerKind kind, const Model& model,
                                       const ComputeContext& compute) {
  switch (kind) {
    case MixerKind::kNone:
      return nullptr;
    case MixerKind::kAttention:
      break;
    case MixerKind::kLatentAttention:
      return make_latent_attention_mixer(model, compute);
    case MixerKind::kDeltaNet:
      return make_delta_net_mixer(model, compute);
    case MixerKind::kShortConvolution:
      return make_short_convolution_mixer(model, compute);
    case MixerKind::kMamba:
      return make_mamba_mixer(model, compute);
    case MixerKind::kKimiDelta:
      return make_kimi_delta_mixer(model, compute);
    case MixerKind::kCompressedAttention:
      return make_compressed_attention_mixer(model, compute);
  }
  return make_attention_mixer(model, compute);
}

}  // namespace

TokenMixers::TokenMixers(const Model& model, const ComputeContext& compute) {
  for (uint32_t layer = 0; layer < model.config().layers; ++layer) {
    MixerKind kind = model.config().mixer(layer);
    // One per kind and not per layer: layers run one after the other and share its scratch memory.
    std::unique_ptr<TokenMixer>& mixer = mixers[static_cast<size_t>(kind)];
    if (!mixer) mixer = make_mixer(kind, model, compute);
  }
}

}  // namespace potluck
