// Everything that works on one row of floats.
#include <cmath>
#include <limits>

#include "engine/kernels/exact_math.h"
#include "engine/kernels/fixed_point.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

constexpr uint32_t kLanes = 8;
// Far above 2^-121, where 127 / amax leaves the range of float32.
constexpr float kSmallestAmax = 0x1p-100F;
// The activation of gpt-oss, as its reference implementation has it: x * sigmoid(1.702 x), clamped
// at 7.
constexpr float kOaiAlpha = 1.702F;
constexpr float kOaiLimit = 7.0F;

// Not std::max(): the comparison is false for a NaN, which thus stays and fails the row. Vector
// instructions do the same.
float relu(float x) {
  return 0.0F > x ? 0.0F : x;
}

// Not std::min(), for the same reason.
float at_most(float limit, float x) {
  return limit < x ? limit : x;
}

float clamp(float limit, float x) {
  float low = at_most(limit, x);
  return -limit > low ? -limit : low;
}

// One block; `count` values are there, the rest of it counts as zeros.
void quantize_block(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scale) {
  bool finite = true;
  float amax = 0;
  for (uint32_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(x[i]);
    amax = std::max(amax, std::fabs(x[i]));
  }
  std::fill_n(quants, block, int8_t{0});
  *scale = finite ? 0.0F : std::numeric_limits<float>::quiet_NaN();
  if (!finite || amax < kSmallestAmax) return;
  *scale = amax / 127.0F;
  float inverse = 127.0F / amax;
  for (uint32_t i = 0; i < count; ++i) {
    // lrint() follows the rounding mode, nearest even in every thread; round() would take halves
    // away from zero and differ from vector instructions.
    long rounded = std::lrint(x[i] * inverse);
    quants[i] = static_cast<int8_t>(std::clamp(rounded, -127L, 127L));
  }
}

}  // namespace

void quantize(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
              int16_t* sums) {
  uint32_t padded = round_up(count, block);
  for (uint32_t begin = 0; begin < count; begin += block) {
    quantize_block(x + begin, std::min(block, count - begin), block, quants + begin,
                   scales + begin / block);
  }
  for (uint32_t begin = 0; begin < padded; begin += 16) {
    int sum = 0;
    for (uint32_t i = 0; i < 16; ++i) sum += quants[begin + i];
    sums[begin / 16] = static_cast<int16_t>(sum);
  }
}

void rms_norm(const float* x, const float* weight, uint32_t count, float eps, float* y) {
  float lanes[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) lanes[i % kLanes] += x[i] * x[i];
  float mean = sum_lanes(lanes) / static_cast<float>(count);
  float scale = 1.0F / std::sqrt(mean + eps);
  for (uint32_t i = 0; i < count; ++i) {
    float scaled = x[i] * scale;
    y[i] = weight != nullptr ? scaled * weight[i] : scaled;
  }
}

void swiglu(const float* gate, const float* up, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) y[i] = exact_silu(gate[i]) * up[i];
}

void swiglu_oai(const float* gate, const float* up, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) {
    float g = at_most(kOaiLimit, gate[i]);
    float activated = g / (1.0F + exact_exp(-(kOaiAlpha * g)));
    y[i] = activated * (clamp(kOaiLimit, up[i]) + 1.0F);
  }
}

void swiglu_clamp_before(const float* gate, const float* up, float limit, uint32_t count,
                         float* y) {
  for (uint32_t i = 0; i < count; ++i) {
    y[i] = exact_silu(at_most(limit, gate[i])) * clamp(limit, up[i]);
  }
}

void swiglu_clamp_after(const float* gate, const float* up, float limit, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) {
    y[i] = at_most(limit, exact_silu(gate[i])) * clamp(limit, up[i]);
  }
}

void geglu(const float* gate, const float* up, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) {
    float g = gate[i];
    float slope = kGeluLinear + kGeluCubic * (g * g);
    y[i] = g / (1.0F + exact_exp(-(g * slope))) * up[i];
  }
}

void reglu(const float* gate, const float* up, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) y[i] = relu(gate[i]) * up[i];
}

void relu_squared(const float* x, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) {
    float value = relu(x[i]);
    y[i] = value * value;
  }
}

float exp_sum(float* x, uint32_t count, float max) {
  float lanes[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) {
    x[i] = exact_exp(x[i] - max);
    lanes[i % kLanes] += x[i];
  }
  return sum_lanes(lanes);
}

bool accumulate(const float* y, uint32_t count, float weight, int32_t fraction_bits,
                int64_t* sums) {
  double scale = fixed_point_scale(fraction_bits);
  bool flag = false;
  for (uint32_t i = 0; i < count; ++i) {
    float product = y[i] * weight;
    double scaled = static_cast<double>(product) * scale;
    // False for a NaN, too.
    if (std::fabs(scaled) <= static_cast<double>(kAddendLimit)) {
      auto addend = static_cast<uint64_t>(std::llrint(scaled));
      // Unsigned, since signed overflow would be undefined; the limit on addends keeps sums far
      // from it.
      sums[i] = static_cast<int64_t>(static_cast<uint64_t>(sums[i]) + addend);
    } else {
      flag = true;  // too large, infinite or NaN
    }
  }
  return flag;
}

}  // namespace potluck::scalar
