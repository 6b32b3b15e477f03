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
  // Beyond so many rows most experts are wanted anyway: nothing is named.
  static constexpr uint32_t kMostRows = 4;

  ExpertPrefetch(const Model& model, const ComputeContext& compute)
      : model_(model), compute_(compute) {}

  // `residual` is [rows, hidden], as layer `layer`'s router saw it before the norm. Afterwards
  // experts() is empty if there is nothing to predict: too many rows, or no router in the next
  // layer.
  void run(uint32_t layer, uint32_t rows, const float* residual);
  void clear() { experts_.clear(); }

  std::span<const uint32_t> experts() const { return experts_; }  // [rows, top_k]

 private:
  const Model& model_;
  ComputeContext compute_;
  ActivationRows normed_;             // [rows, hidden]
  std::vector<float> logits_;         // [rows, experts]
  std::vector<float> probabilities_;  // [experts]
  std::vector<float> scores_;         // [experts]
  std::vector<uint32_t> experts_;     // [rows, top_k]
  std::vector<float> weights_;        // [top_k]
};

}  // namespace potluck
