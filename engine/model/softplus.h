// softplus(x) = log(1 + exp(x)), in float64 and rounded once. Above 20 the 1 is lost in float32
// anyway. Pure; any thread.
#pragma once

#include "engine/kernels/exact_math.h"

namespace potluck {

inline float softplus(float x) {
  if (x > 20.0F) return x;
  return static_cast<float>(exact_log64(1.0 + exact_exp64(x)));
}

}  // namespace potluck
