// LayerLoader: asks a TensorLoader for the tensors of one layer. Which those are follows from the
// configuration alone. Internal to engine/model; lives on the stack of load_weights() and
// measure_weights().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "engine/model/tensor_loader.h"

namespace potluck {

// Hyper-connections around one part of a layer, or before the last norm (`is_last`), whose tensors'
// names begin so.
HyperWeights load_hyper(TensorLoader& loader, const ModelConfig& config, const std::string& prefix,
                        bool is_last);

class LayerLoader {
 public:
  LayerLoader(TensorLoader& loader, const ModelConfig& config, uint32_t layer)
      : loader_(loader), config_(config), layer_(layer) {}

  LayerWeights load();

 private:
  std::string name(std::string_view part) const { return fmt::format("blk.{}.{}", layer_, part); }
  WeightMatrix matrix(std::string_view part, uint32_t rows, uint32_t columns, uint32_t parts = 1) {
    return loader_.matrix(name(part) + ".weight", rows, columns, parts);
  }
  std::vector<float> vector(std::string_view part, uint32_t count) {
    return loader_.vector(name(part) + ".weight", count);
  }
  std::vector<float> bias(std::string_view part, uint32_t count) {
    return loader_.vector(name(part) + ".bias", count);
  }

  void mixer(LayerWeights* w);
  AttentionWeights attention();
  void projections(AttentionWeights* w);
  void fused_projections(AttentionWeights* w);
  LatentWeights latent();
  DeltaNetWeights delta();
  IndexerWeights indexer();
  ShortConvolutionWeights short_convolution();
  MambaWeights mamba();
  KimiDeltaWeights kimi();
  CompressedAttentionWeights compressed();
  CompressorWeights compressor(const std::string& prefix, uint32_t dimensions);
  GroupedOutputWeights grouped_output();
  std::vector<float> convolution(std::string_view part, uint32_t channels, uint32_t tokens);
  FeedForwardWeights feed_forward(std::string_view suffix, uint32_t width);
  RouterWeights router();
  void experts(LayerWeights* w);
  void hyper_connections(LayerWeights* w);
  PerLayerWeights per_layer();

  TensorLoader& loader_;
  const ModelConfig& config_;
  uint32_t layer_;
};

}  // namespace potluck
