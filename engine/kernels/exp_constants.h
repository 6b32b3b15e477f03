// The numbers behind exact_exp, shared by the scalar definition and the vector kernels.
//
//   n = round(x / ln 2);  r = (x - n * kLn2High) - n * kLn2Low;  p = q(r) * (r * r) + r + 1
//   exp(x) = p * 2^(n / 2, rounded down) * 2^(the rest of n)
//
// Two factors, because 2^128 itself is no float32 although exp(88.5) = p * 2^128 is one. q is a
// polynomial fitted to (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2 so that the largest relative error
// of exp is least (Remez exchange): 4e-9. Internal to engine/kernels; constants.
#pragma once

#include <cstdint>

namespace potluck::exp_constants {

inline constexpr float kHighest = 0x1.62e42ep+6F;  // 88.72: above, +inf
inline constexpr float kLowest = -0x1.5d3334p+6F;  // -87.3: below, 0
inline constexpr float kLog2E = 0x1.715476p+0F;
inline constexpr float kRound = 0x1.8p+23F;        // adding it rounds to an integer, in low bits
inline constexpr int32_t kRoundBits = 0x4b400000;  // kRound as bits
inline constexpr float kLn2High = 0x1.62e4p-1F;    // 15 bits: n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20F;
inline constexpr float kQ[5] = {0x1.fffffcp-2F, 0x1.555492p-3F, 0x1.5558f2p-5F, 0x1.1239e4p-7F,
                                0x1.6a2442p-10F};

}  // namespace potluck::exp_constants
