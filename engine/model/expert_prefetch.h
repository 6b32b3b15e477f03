// ExpertPrefetch: predicts which experts the next layer will ask for, so that disks can begin to
// read them: the next layer's own norm and router, applied to this layer's residual before its
// experts were added. It costs a router's product and changes nothing that is computed. Owns its
// scratch memory; one thread (and its pool).
#pragma once

#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/rows.h"

namespace potluck {

class ExpertPrefetch {
 public:
  ExpertPrefetch(const Model& model, const ComputeContext& compute)
      : model_(model), compute_(compute) {}

  // `residual` is [rows, hidden], as layer `layer`'s router saw it before the norm. Afterwards
  // experts() is empty if there is nothing to predict: no router in the next layer.
  void run(uint32_t layer, uint32_t rows, const float* residual);
  void clear() { experts_.clear(); }

  // Of all rows together: each once, ascending.
  std::span<const uint32_t> experts() const { return experts_; }

 private:
  void choose(uint32_t rows, const LayerWeights& next);
  void name_chosen();

  const Model& model_;
  ComputeContext compute_;
  ActivationRows normed_;             // [rows, hidden]
  std::vector<float> logits_;         // [rows, experts]
  std::vector<float> probabilities_;  // [rows, experts]
  std::vector<float> scores_;         // [rows, experts]
  std::vector<float> weights_;        // [rows, top_k]
  std::vector<uint32_t> chosen_;      // [rows, top_k]
  std::vector<uint8_t> is_chosen_;    // [experts]
  std::vector<uint32_t> experts_;
};

}  // namespace potluck
