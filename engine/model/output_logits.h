// OutputLogits: from the residual after the last layer to logits:
//
//   y = W norm(x) + bias;  y = y / divisor;  y = cap * tanh(y / cap)      each where the model has
//   it
//
// Owns the logits and scratch memory; one thread (and its pool).
#pragma once

#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/rows.h"

namespace potluck {

class OutputLogits {
 public:
  // Both must outlive the object.
  OutputLogits(const Model& model, const ComputeContext& compute)
      : model_(model), compute_(compute) {}

  void run(const float* residual, uint32_t rows);  // [rows, hidden]
  std::span<const float> row(uint32_t row) const {
    const uint32_t count = model_.config().vocabulary;
    return {logits_.data() + uint64_t{row} * count, count};
  }

 private:
  void finish_row(float* logits);

  const Model& model_;
  ComputeContext compute_;
  ActivationRows normed_;      // [rows, hidden]
  std::vector<float> logits_;  // [rows, vocabulary]
};

}  // namespace potluck
