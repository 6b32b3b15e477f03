#include "engine/model/rope.h"

#include "engine/kernels/exact_math.h"

namespace potluck {

RopeFrequencies::RopeFrequencies(uint32_t dimensions, double base) {
  double log_base = exact_log64(base);
  for (uint32_t i = 0; i < dimensions / 2; ++i) {
    frequencies_.push_back(exact_exp64(-2.0 * i / dimensions * log_base));
  }
}

void RopeFrequencies::fill(uint32_t position, float* cosines, float* sines) const {
  for (uint32_t i = 0; i < pairs(); ++i) {
    double angle = position * frequencies_[i];
    cosines[i] = static_cast<float>(exact_cos64(angle));
    sines[i] = static_cast<float>(exact_sin64(angle));
  }
}

void rotate_half_split(const float* cosines, const float* sines, uint32_t pairs, float* head) {
  for (uint32_t i = 0; i < pairs; ++i) {
    float x = head[i];
    float y = head[i + pairs];
    head[i] = x * cosines[i] - y * sines[i];
    head[i + pairs] = y * cosines[i] + x * sines[i];
  }
}

}  // namespace potluck
