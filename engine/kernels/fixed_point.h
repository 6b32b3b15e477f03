// The scale of fixed-point addends, shared by the accumulate kernels. Internal to engine/kernels;
// a pure function, any thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "engine/kernels/kernels.h"

namespace potluck {

// 2^fraction_bits, exactly. A float32 times it is exact in float64 too: 2^128 * 2^512 and
// 2^-149 * 2^-512 are both normal there.
static inline double fixed_point_scale(int32_t fraction_bits) {
  int32_t bits = std::clamp(fraction_bits, kMinFractionBits, kMaxFractionBits);
  return std::bit_cast<double>(static_cast<uint64_t>(bits + 1023) << 52);
}

}  // namespace potluck
