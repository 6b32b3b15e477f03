// Elementary functions with one definition everywhere: additions, subtractions, multiplications,
// divisions and square roots of IEEE arithmetic in a written order, so every processor gives the
// same bits (the C library's do not). Any thread.
#pragma once

#include <cstdint>
#include <span>

namespace potluck {

// float32; relative error of exp below 1.3e-7, of sigmoid and silu below 2.5e-7 where they are not
// subnormal. exp: +inf above 88.7228, 0 below -87.3 (no subnormals), NaN stays NaN. The vector
// kernels compute the same sequence of operations (exp_constants.h).
float exact_exp(float x);
float exact_sigmoid(float x);  // 1 / (1 + exp(-x))
float exact_silu(float x);     // x / (1 + exp(-x))

// float64: relative error of exp and log below 1e-15, absolute error of sine and cosine below
// 3e-16.
double exact_exp64(double x);  // +inf above 709.78, 0 below -708
double exact_log64(double x);  // -inf of 0, NaN below
double exact_sin64(double x);  // NaN for |x| of 2^31 and above
double exact_cos64(double x);  // NaN for |x| of 2^31 and above

// Adds eight lanes in the tree that every kernel uses:
// ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)).
float sum_lanes(const float lanes[8]);

}  // namespace potluck
