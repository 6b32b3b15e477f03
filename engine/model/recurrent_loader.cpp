// The tensors of layers with a recurrent state.
#include "engine/model/layer_loader.h"

namespace potluck {

DeltaNetWeights LayerLoader::delta() {
  DeltaNetWeights w;
  const DeltaNetConfig& delta = config_.delta;
  w.mixed = matrix("attn_qkv", delta.channels(), config_.hidden);
  w.gate = matrix("attn_gate", delta.value_columns(), config_.hidden);
  if (delta.joined_beta_alpha) {
    w.beta_alpha = matrix("ssm_ba", 2 * delta.value_heads, config_.hidden);
  } else {
    w.beta = matrix("ssm_beta", delta.value_heads, config_.hidden);
    w.alpha = matrix("ssm_alpha", delta.value_heads, config_.hidden);
  }
  w.convolution = convolution("ssm_conv1d", delta.channels(), delta.convolution);
  w.decay = loader_.vector(name("ssm_a"), delta.value_heads);
  w.decay_bias = bias("ssm_dt", delta.value_heads);
  w.norm = vector("ssm_norm", delta.value_dim);
  w.output = matrix("ssm_out", config_.hidden, delta.value_columns());
  return w;
}

// The file has [channels, tokens]; transposed, one tap of all channels is one vector.
std::vector<float> LayerLoader::convolution(std::string_view part, uint32_t channels,
                                            uint32_t tokens) {
  std::vector<float> by_channel = loader_.channels(name(part) + ".weight", channels, tokens);
  std::vector<float> by_token(by_channel.size());
  for (size_t i = 0; i < by_channel.size(); ++i) {
    by_token[i % tokens * channels + i / tokens] = by_channel[i];
  }
  return by_token;
}

ShortConvolutionWeights LayerLoader::short_convolution() {
  ShortConvolutionWeights w;
  w.input = matrix("shortconv.in_proj", 3 * config_.hidden, config_.hidden);
  w.convolution = convolution("shortconv.conv", config_.hidden, config_.short_convolution);
  w.output = matrix("shortconv.out_proj", config_.hidden, config_.hidden);
  return w;
}

MambaWeights LayerLoader::mamba() {
  MambaWeights w;
  const MambaConfig& mamba = config_.mamba;
  w.input = matrix("ssm_in", mamba.projected(), config_.hidden);
  w.convolution = convolution("ssm_conv1d", mamba.channels(), mamba.convolution);
  w.convolution_bias = bias("ssm_conv1d", mamba.channels());
  w.decay = loader_.table(name("ssm_a"), mamba.heads, 1);
  w.time_bias = bias("ssm_dt", mamba.heads);
  w.skip = loader_.table(name("ssm_d"), mamba.heads, 1);
  w.norm = loader_.table(name("ssm_norm.weight"), mamba.groups, mamba.inner() / mamba.groups);
  w.output = matrix("ssm_out", config_.hidden, mamba.inner());
  return w;
}

KimiDeltaWeights LayerLoader::kimi() {
  KimiDeltaWeights w;
  const KimiDeltaConfig& kimi = config_.kimi;
  uint32_t columns = kimi.columns();
  w.query = matrix("attn_q", columns, config_.hidden);
  w.key = matrix("attn_k", columns, config_.hidden);
  w.value = matrix("attn_v", columns, config_.hidden);
  // One convolution over all three: tap by tap queries, keys, values.
  const std::vector<float> parts[] = {convolution("ssm_conv1d_q", columns, kimi.convolution),
                                      convolution("ssm_conv1d_k", columns, kimi.convolution),
                                      convolution("ssm_conv1d_v", columns, kimi.convolution)};
  for (size_t first = 0; first < parts[2].size(); first += columns) {
    for (const std::vector<float>& part : parts) {
      auto begin = part.begin() + static_cast<ptrdiff_t>(first);
      w.convolution.insert(w.convolution.end(), begin, begin + columns);
    }
  }
  w.decay_down = matrix("ssm_f_a", kimi.head_dim, config_.hidden);
  w.decay_up = matrix("ssm_f_b", columns, kimi.head_dim);
  w.decay_bias = bias("ssm_dt", columns);
  w.decay = loader_.table(name("ssm_a"), kimi.heads, 1);
  w.beta = matrix("ssm_beta", kimi.heads, config_.hidden);
  w.gate_down = matrix("ssm_g_a", kimi.head_dim, config_.hidden);
  w.gate_up = matrix("ssm_g_b", columns, kimi.head_dim);
  w.norm = vector("ssm_norm", kimi.head_dim);
  w.output = matrix("attn_output", config_.hidden, columns);
  return w;
}

}  // namespace potluck
