// FeedForward: the feed-forward part that every row goes through, of a dense layer or as a shared
// expert: down(activation(gate x, up x)), times sigmoid(w x) where there is such a gate. Owns
// scratch memory; one thread (and its pool).
#pragma once

#include <vector>

#include "engine/model/rows.h"

namespace potluck {

class FeedForward {
 public:
  explicit FeedForward(const ComputeContext& compute) : compute_(compute) {}

  // Adds the forms in which run() reads its input.
  static void input_forms(const FeedForwardWeights& weights, std::vector<ActivationForm>* forms);

  // input [rows, hidden] -> output() [rows, hidden].
  void run(const FeedForwardWeights& weights, const Activation& activation,
           const ActivationRows& input, uint32_t rows);
  const float* output(uint32_t row) const { return output_.data() + uint64_t{row} * hidden_; }

 private:
  ComputeContext compute_;
  uint32_t hidden_ = 0;
  std::vector<float> gate_;         // [rows, width]; unused where there is none
  std::vector<float> up_;           // [rows, width]
  std::vector<float> output_gate_;  // [rows]
  ActivationRows gated_;            // [rows, width]
  std::vector<float> output_;       // [rows, hidden]
};

}  // namespace potluck
