// Elementary functions with one definition everywhere: additions, subtractions, multiplications,
// divisions and square roots of IEEE arithmetic in a written order, so every processor gives the
// same bits (the C library's do not). Any thread.
#pragma once

#include <cstdint>
#include <span>

namespace potluck {

// float32, relative error below 2e-7. exp: +inf above 88.72, 0 below -87.3 (no subnormals), NaN
// stays NaN. The AVX2 kernels compute the same sequence of operations.
float exact_exp(float x);
float exact_sigmoid(float x);  // 1 / (1 + exp(-x))
float exact_silu(float x);     // x / (1 + exp(-x))

// float64, relative error below 1e-13 on the ranges used here (tables of angles, perplexities).
double exact_exp64(double x);
double exact_log64(double x);  // x > 0
double exact_sin64(double x);  // |x| < 2^31
double exact_cos64(double x);

// Adds eight lanes in the tree that every kernel uses:
// ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)).
float sum_lanes(const float lanes[8]);

}  // namespace potluck
