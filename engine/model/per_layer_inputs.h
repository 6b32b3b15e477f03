// PerLayerInputs: what layers read of the token itself, beside the residual (per-layer embeddings
// of Gemma 3n and Gemma 4). For layer l, with x0 the scaled embedding of the token:
//
//   p = RMSNorm(M[l] x0 / sqrt(hidden); norm)
//   u = (p + E[token][l] * sqrt(width)) / sqrt(2)
//   after the layer:  x = x + RMSNorm(W (gelu(G x) * u); post_norm)
//
// The values u depend on the token alone and are computed once a step, for all layers. Owns them
// and scratch memory; one thread (and its pool).
#pragma once

#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/rows.h"

namespace potluck {

class PerLayerInputs {
 public:
  // Both must outlive the object.
  PerLayerInputs(const Model& model, const ComputeContext& compute);

  // Of all rows of a step: embedded [rows, hidden]. Nothing happens in a model without them.
  void begin(std::span<const TokenId> tokens, const float* embedded);
  // Adds what a layer reads to the residual [sources.size(), hidden]; `sources` says which row of
  // begin() each was.
  void add(uint32_t layer, std::span<const uint32_t> sources, float* residual);

 private:
  void finish_row(uint32_t row, TokenId token);

  const Model& model_;
  const ModelConfig& config_;
  ComputeContext compute_;
  uint32_t columns_;              // of all layers
  std::vector<float> inputs_;     // [rows of begin(), layers, width]
  std::vector<float> of_tokens_;  // [rows of begin(), layers, width]: E[token]
  ActivationRows rows_;           // [rows, hidden], then [rows, width]
  std::vector<float> gates_;      // [rows, width]
  std::vector<float> addends_;    // [rows, hidden]
};

}  // namespace potluck
