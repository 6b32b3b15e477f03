// LatentExperts: the projections around routed experts that work in a narrower space than the
// hidden state (Nemotron 3): what crosses the wire shrinks with it. The fixed-point sums are those
// of the narrow space; they become floats once, before they are widened. Owns scratch memory; one
// thread (and its pool).
#pragma once

#include <span>
#include <vector>

#include "engine/model/rows.h"

namespace potluck {

class LatentExperts {
 public:
  explicit LatentExperts(const ComputeContext& compute) : compute_(compute) {}

  // What experts read, in their form: down x. Valid until widen().
  ActivationView shrink(const WeightMatrix& down, const ActivationRows& input, uint32_t rows,
                        ActivationForm form);
  // sums [rows, latent width] in steps of 2^-fraction_bits -> output() [rows, hidden]: up sum.
  void widen(const WeightMatrix& up, std::span<const int64_t> sums,
             std::span<const int32_t> fraction_bits);
  const float* output(uint32_t row) const { return output_.data() + uint64_t{row} * hidden_; }

 private:
  ComputeContext compute_;
  uint32_t hidden_ = 0;
  std::vector<float> narrow_;  // [rows, latent width]
  ActivationRows rows_;        // the same, as products read it
  std::vector<float> output_;  // [rows, hidden]
};

}  // namespace potluck
