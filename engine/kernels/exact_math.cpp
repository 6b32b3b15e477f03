// Range reduction after Cody and Waite: the constant comes in parts of few bits, so the first
// products and differences are exact. Then a polynomial in Horner form. Only operations that IEEE
// 754 rounds in one way, in written order.
#include "engine/kernels/exact_math.h"

#include <bit>
#include <cmath>
#include <limits>

#include "engine/kernels/exp_constants.h"

namespace potluck {
namespace {

// 1.5 * 2^52. Adding it leaves no bits behind the point, so the addition itself rounds to nearest
// even; subtracting it gives that integer. The half on top keeps negative numbers in the same
// binade.
constexpr double kRound64 = 0x1.8p+52;

// 2^n for n in [-126, 127]; other n give some float, which only a NaN's path reaches.
float power_of_two(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

double power_of_two64(int64_t n) {
  return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

double horner(std::span<const double> coefficients, double x) {
  double sum = 0;
  for (double c : coefficients) sum = sum * x + c;
  return sum;
}

// Taylor coefficients, highest power first. The first omitted term is below 2^-57 on |r| <= ln2/2
// for exp and on |r| <= pi/4 for sine and cosine.
constexpr double kExp[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                           1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                           1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        0.5};
constexpr double kSin[] = {
    1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0,
    1.0 / 362880.0,          -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0};
constexpr double kCos[] = {
    -1.0 / 6402373705728000.0, 1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600.0,
    -1.0 / 3628800.0,          1.0 / 40320.0,          -1.0 / 720.0,         1.0 / 24.0};
// atanh(s) / s - 1 in powers of s^2.
constexpr double kAtanh[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                             1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};

// ln 2 in two parts; the first has 40 bits, so its product with an exponent is exact.
constexpr double kLn2High64 = 0x1.62e42fefa2p-1;
constexpr double kLn2Low64 = 0x1.9ef35793c7673p-41;

struct ReducedAngle {
  double sine;
  double cosine;
  uint32_t quadrant;
};

// x = quadrant * pi/2 + r. pi/2 comes in parts of 22 bits, so that the products with quadrant
// numbers below 2^31, and the differences down to the third, are exact.
ReducedAngle reduce_angle(double x) {
  constexpr double kHalfPi[] = {0x1.921fbp+0, 0x1.5110bp-22, 0x1.184698p-44, 0x1.31988p-69,
                                0x1.1701b8p-88};
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (!(std::abs(x) < 0x1p31)) return {kNaN, kNaN, 0};
  double n = (x * 0x1.45f306dc9c883p-1 + kRound64) - kRound64;
  double r = x;
  for (double part : kHalfPi) r -= n * part;
  double square = r * r;
  double sine = r + r * (square * horner(kSin, square));
  double cosine = 1.0 - (0.5 * square - square * square * horner(kCos, square));
  return {sine, cosine, static_cast<uint32_t>(static_cast<int64_t>(n) & 3)};
}

}  // namespace

float exact_exp(float x) {
  using namespace exp_constants;
  if (x > kHighest) return std::numeric_limits<float>::infinity();
  if (x < kLowest) return 0.0F;
  float shifted = x * kLog2E + kRound;
  float n = shifted - kRound;
  float r = (x - n * kLn2High) - n * kLn2Low;
  float q = (((kQ[4] * r + kQ[3]) * r + kQ[2]) * r + kQ[1]) * r + kQ[0];
  float p = (q * (r * r) + r) + 1.0F;
  int32_t exponent = static_cast<int32_t>(std::bit_cast<uint32_t>(shifted) - kRoundBits);
  // 2^128 is no float32 although exp(88.5) is p * 2^128 with a smaller p: two factors reach where
  // one cannot.
  int32_t half = exponent >> 1;
  return (p * power_of_two(half)) * power_of_two(exponent - half);
}

float exact_sigmoid(float x) {
  return 1.0F / (1.0F + exact_exp(-x));
}

float exact_silu(float x) {
  return x / (1.0F + exact_exp(-x));
}

double exact_exp64(double x) {
  if (x > 709.78) return std::numeric_limits<double>::infinity();
  if (x < -708.0) return 0.0;
  if (x != x) return x;
  double n = (x * 0x1.71547652b82fep+0 + kRound64) - kRound64;
  double r = (x - n * kLn2High64) - n * kLn2Low64;
  double p = (horner(kExp, r) * (r * r) + r) + 1.0;
  auto exponent = static_cast<int64_t>(n);
  int64_t half = exponent >> 1;
  return (p * power_of_two64(half)) * power_of_two64(exponent - half);
}

// x = 2^e * m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)).
double exact_log64(double x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (x == 0) return -kInfinity;
  if (!(x > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (x == kInfinity) return x;
  int64_t e = 0;
  // Subnormal numbers have no exponent of their own; times 2^54 they are normal.
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    e = -54;
  }
  auto bits = std::bit_cast<uint64_t>(x);
  e += static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  // Centered around 1, so that near x = 1 no two large terms cancel.
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    e += 1;
  }
  double s = (m - 1.0) / (m + 1.0);
  double square = s * s;
  double tail = 2.0 * s * (square * horner(kAtanh, square));
  auto n = static_cast<double>(e);
  return n * kLn2High64 + (2.0 * s + (tail + n * kLn2Low64));
}

double exact_sin64(double x) {
  ReducedAngle a = reduce_angle(x);
  double magnitude = (a.quadrant & 1) != 0 ? a.cosine : a.sine;
  return (a.quadrant & 2) != 0 ? -magnitude : magnitude;
}

double exact_cos64(double x) {
  ReducedAngle a = reduce_angle(x);
  double magnitude = (a.quadrant & 1) != 0 ? a.sine : a.cosine;
  return a.quadrant == 1 || a.quadrant == 2 ? -magnitude : magnitude;
}

// The tree that adding the upper to the lower half of a vector gives, three times: fast with any
// width of vectors.
float sum_lanes(const float lanes[8]) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace potluck
