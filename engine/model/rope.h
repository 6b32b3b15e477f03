// Rotary position embedding, half split ("NEOX"): value i of a head turns together with value
// i + dimensions / 2, by the angle position * base^(-2 i / dimensions). Angles are computed in
// float64 and only their sine and cosine are rounded, so far positions are as exact as near ones.
// RopeFrequencies is immutable after construction; all functions may be called from any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

class RopeFrequencies {
 public:
  RopeFrequencies(uint32_t dimensions, double base);

  uint32_t pairs() const { return static_cast<uint32_t>(frequencies_.size()); }
  // cosines[pairs()] and sines[pairs()] of one position's angles.
  void fill(uint32_t position, float* cosines, float* sines) const;

 private:
  std::vector<double> frequencies_;  // radians per position
};

// Turns the first 2 * pairs values of one head in place.
void rotate_half_split(const float* cosines, const float* sines, uint32_t pairs, float* head);

}  // namespace potluck
