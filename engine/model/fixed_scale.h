// The scale of the routed sums: per token row, experts add integers of 2^-F, where F follows from
// the hidden state that enters the feed-forward part. Part of the arithmetic contract
// (docs/ARITHMETIC.md, 8). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace potluck {

// max |x|; NaN counts as larger than all numbers. 0 for no values.
float largest_magnitude(std::span<const float> values);

// F = 24 - e for a magnitude in [2^e, 2^(e+1)); e = 0 for zero. The magnitude must be finite
// (CHECK). F lies in [-103, 173], so 2^F and 2^-F are normal float64 numbers.
int32_t fraction_bits_for(float magnitude);

// x[i] += sums[i] * 2^-fraction_bits, where the addend is computed in float64 and rounded to
// float32 once; a scale other than 1 then multiplies it, in float32.
void add_fixed_point(std::span<const int64_t> sums, int32_t fraction_bits, float scale, float* x);

}  // namespace potluck
