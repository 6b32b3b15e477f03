// GroupedOutput: the output projection of attention with many heads, in two steps of low rank
// (DeepSeek V4, DeepSeek-AI, 2026). Heads are divided into groups; with x_g the outputs of a
// group's heads side by side:
//
//   out = W_b [W_a1 x_1, W_a2 x_2, ...]
//
// Owns scratch memory; one thread (and its pool).
#pragma once

#include <vector>

#include "engine/model/part_products.h"

namespace potluck {

class GroupedOutput {
 public:
  explicit GroupedOutput(const ComputeContext& compute) : compute_(compute), parts_(compute) {}

  // Room for what heads give: `columns` values in all; contents are unspecified.
  void reset(const GroupedOutputWeights& weights, uint32_t rows, uint32_t columns);
  // [columns], head by head: to be filled before run().
  float* input(uint32_t row) { return inputs_.row(row * groups_); }
  // out [rows, hidden], which is grown.
  void run(const GroupedOutputWeights& weights, uint32_t rows, std::vector<float>& out);

 private:
  ComputeContext compute_;
  uint32_t groups_ = 1;
  PartProducts parts_;
  ActivationRows inputs_;  // [rows * groups, columns / groups]
  ActivationRows narrow_;  // [rows, groups * rank]
};

}  // namespace potluck
