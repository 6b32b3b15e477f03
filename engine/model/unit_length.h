// Keys and queries of delta nets have a fixed length. Pure; any thread.
#pragma once

#include "engine/kernels/kernels.h"

namespace potluck {

// x = x / |x| * sqrt(count) * factor, with |x| = sqrt(sum of x^2 + 1e-6): the RMS norm divides by
// the root of the mean instead of the sum.
inline void scale_length(const KernelTable& kernels, float* x, uint32_t count, float factor) {
  constexpr float kLengthEpsilon = 1e-6F;
  kernels.rms_norm(x, nullptr, count, kLengthEpsilon / static_cast<float>(count), x);
  for (uint32_t i = 0; i < count; ++i) x[i] *= factor;
}

}  // namespace potluck
