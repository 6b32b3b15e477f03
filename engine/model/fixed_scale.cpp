#include "engine/model/fixed_scale.h"

#include <bit>
#include <cmath>

#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr int32_t kSignificantBits = 24;  // of float32: a sum's step is that of its largest addend
constexpr uint32_t kLanes = 8;

}  // namespace

// Magnitudes are ordered like their bits taken as integers, NaN above infinity: a NaN thus wins and
// is noticed, where std::max() would lose it. Integer lanes become vectors; a maximum of floats
// would not, because of NaN.
float largest_magnitude(std::span<const float> values) {
  uint32_t lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      uint32_t magnitude = std::bit_cast<uint32_t>(values[i + lane]) & 0x7fffffffu;
      lanes[lane] = magnitude > lanes[lane] ? magnitude : lanes[lane];
    }
  }
  uint32_t largest = 0;
  for (uint32_t lane : lanes) largest = lane > largest ? lane : largest;
  for (; i < values.size(); ++i) {
    uint32_t magnitude = std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return std::bit_cast<float>(largest);
}

int32_t fraction_bits_for(float magnitude) {
  CHECK(std::isfinite(magnitude));
  if (magnitude == 0) return kSignificantBits;
  return kSignificantBits - std::ilogb(magnitude);
}

void add_fixed_point(std::span<const int64_t> sums, int32_t fraction_bits, float scale, float* x) {
  // 2^-F as bits: exact, and no pow() that differs between C libraries.
  double unit = std::bit_cast<double>(static_cast<uint64_t>(1023 - fraction_bits) << 52);
  for (size_t i = 0; i < sums.size(); ++i) {
    x[i] += static_cast<float>(static_cast<double>(sums[i]) * unit) * scale;
  }
}

}  // namespace potluck
