// RecurrentRows: the rows of a step as a recurrent layer walks them: in runs of one session, each
// with that session's state. Tokens go one after the other, in prefill too, so a prompt may be cut
// anywhere. A mixer fills the convolution's inputs, asks for the convolution, makes of it what its
// heads read, and lets the heads advance. Owns scratch memory; one thread (and its pool), except
// where said.
#pragma once

#include <vector>

#include "engine/kernels/state_kernels.h"
#include "engine/model/token_mixer.h"

namespace potluck {

class RecurrentRows {
 public:
  // Rows of one session: [first, end).
  struct Run {
    uint32_t first = 0;
    uint32_t end = 0;
    RecurrentState::Versions state;
  };

  RecurrentRows(const RecurrentShape& shape, const ComputeContext& compute)
      : shape_(shape), compute_(compute), states_(state_kernels(compute.kernels)) {}

  const RecurrentShape& shape() const { return shape_; }
  const StateKernels& kernels() const { return states_; }

  // Room for the rows of a step; contents are unspecified.
  void reset(uint32_t rows);
  // [channels]: what the convolution reads of a row, to be filled before begin().
  float* input(uint32_t row) { return inputs_.data() + uint64_t{row} * shape_.channels; }
  // Finds the runs and their states, which are about to change.
  void begin(uint32_t layer, const StepRows& rows);
  std::span<const Run> runs() const { return runs_; }
  // The input() of `back` tokens before the row, at most those that the convolution sees. Valid
  // until the step ends.
  const float* past_input(uint32_t row, uint32_t back) const {
    return past_input(runs_[run_of_row_[row]], row, back);
  }
  // [channels]: the sum over the taps of inputs * factors [taps, channels], oldest token first.
  // Different rows may be convolved by different threads.
  float* convolve(std::span<const float> factors, uint32_t row);
  // Of the same size: made by convolve(); keys, queries and values as the heads read them.
  float* convolved(uint32_t row) { return convolved_.data() + uint64_t{row} * shape_.channels; }
  // To be filled before advance(): [heads, decays_per_head] and [heads].
  float* decays(uint32_t row) {
    return decays_.data() + uint64_t{row} * shape_.heads * shape_.decays_per_head();
  }
  float* betas(uint32_t row) { return betas_.data() + uint64_t{row} * shape_.heads; }
  // Leaves in the states what later tokens need. Threads split heads.
  void advance();
  // [heads, value_dim], valid after advance().
  float* output(uint32_t row) { return outputs_.data() + uint64_t{row} * shape_.value_columns(); }

 private:
  const float* past_input(const Run& run, uint32_t row, uint32_t back) const;
  void keep_history(const Run& run);
  void log_row(uint32_t row);
  void advance_head(const Run& run, uint32_t head);

  const RecurrentShape shape_;
  ComputeContext compute_;
  const StateKernels& states_;
  std::vector<Run> runs_;
  std::vector<uint32_t> run_of_row_;  // [rows]
  std::vector<float> inputs_;         // [rows, channels]
  std::vector<float> convolved_;      // [rows, channels]
  std::vector<float> decays_;         // [rows, heads, decays_per_head]
  std::vector<float> betas_;          // [rows, heads]
  std::vector<float> outputs_;        // [rows, heads, value_dim]
};

}  // namespace potluck
