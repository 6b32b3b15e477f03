// Rotary position embedding: two values of a head turn together by the angle position * frequency,
// where pair i of d dimensions has the frequency base^(-2 i / d), changed as the model's scaling
// asks. LongRoPE (Ding et al., 2024) divides them one by one, in a context that is longer than the
// original one by other numbers. As in llama.cpp and vLLM it is the context that a conversation may
// grow to, so that no key has to be turned anew; Phi's published code turns them all, once the text
// is longer. Angles are computed in float64 and only their sine and cosine are rounded, so far
// positions are as exact as near ones. RopeFrequencies is immutable after construction; all
// functions may be called from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/config.h"

namespace potluck {

class RopeFrequencies {
 public:
  // `divisors` [dimensions / 2], if not empty, divide the frequencies one by one (Llama 3.1, Phi).
  explicit RopeFrequencies(const RopeConfig& config, std::span<const float> divisors = {});

  // Whether every frequency is a number and small enough for the angles of all positions.
  bool in_range() const;
  uint32_t pairs() const { return static_cast<uint32_t>(frequencies_.size()); }
  // cosines[pairs()] and sines[pairs()] of one position's angles.
  void fill(uint32_t position, float* cosines, float* sines) const;

 private:
  double magnitude_;
  std::vector<double> frequencies_;  // radians per position
};

// Turns the first 2 * pairs values of one head in place; rotate_back() undoes it where the
// frequencies' magnitude is 1.
void rotate(RopePairs kind, const float* cosines, const float* sines, uint32_t pairs, float* head);
void rotate_back(RopePairs kind, const float* cosines, const float* sines, uint32_t pairs,
                 float* head);

}  // namespace potluck
