// Rotary embedding after Su et al. (2021); YaRN after Peng et al. (2023).
#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/exact_math.h"

namespace potluck {
namespace {

constexpr double kTwoPi = 0x1.921fb54442d18p+2;

// The pair that turns `turns` times within the original context: the inverse of the frequency's
// formula (find_correction_dim in the YaRN reference).
double pair_with_turns(const RopeConfig& config, double turns) {
  double ratio = config.original_context / (turns * kTwoPi);
  return config.dimensions * exact_log64(ratio) / (2 * exact_log64(config.base));
}

// YaRN: pairs before `low` keep their frequency, those after `high` have it divided, between them
// the two are blended.
struct YarnRange {
  double low = 0;
  double high = 0;

  explicit YarnRange(const RopeConfig& config) {
    low = pair_with_turns(config, config.beta_fast);
    high = pair_with_turns(config, config.beta_slow);
    if (config.whole_yarn_range) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, config.dimensions - 1.0);
    // The reference does the same: an empty range would divide by zero.
    if (low == high) high += 0.001;
  }
  double divided_part(uint32_t pair) const {
    return std::clamp((pair - low) / (high - low), 0.0, 1.0);
  }
};

}  // namespace

RopeFrequencies::RopeFrequencies(const RopeConfig& config, std::span<const float> divisors)
    : magnitude_(config.magnitude) {
  CHECK(divisors.empty() || divisors.size() == config.dimensions / 2);
  double log_base = exact_log64(config.base);
  for (uint32_t i = 0; i < config.dimensions / 2; ++i) {
    double frequency = exact_exp64(-2.0 * i / config.dimensions * log_base);
    if (!divisors.empty()) frequency /= divisors[i];
    if (config.scaling == RopeScaling::kLinear) frequency /= config.factor;
    if (config.scaling == RopeScaling::kYarn) {
      double part = YarnRange(config).divided_part(i);
      frequency = frequency / config.factor * part + frequency * (1 - part);
    }
    frequencies_.push_back(frequency);
  }
}

bool RopeFrequencies::in_range() const {
  // Sine and cosine take angles below 2^31.
  constexpr double kHighest = 0x1p30 / limits::kContext;
  return std::all_of(frequencies_.begin(), frequencies_.end(),
                     [](double frequency) { return frequency >= 0 && frequency <= kHighest; });
}

void RopeFrequencies::fill(uint32_t position, float* cosines, float* sines) const {
  for (uint32_t i = 0; i < pairs(); ++i) {
    // In float32 an angle at position 100,000 would be off by up to 0.004; in float64 it is exact
    // enough everywhere.
    double angle = position * frequencies_[i];
    cosines[i] = static_cast<float>(exact_cos64(angle) * magnitude_);
    sines[i] = static_cast<float>(exact_sin64(angle) * magnitude_);
  }
}

namespace {

// `sign` times the angle.
void turn_pairs(RopePairs kind, const float* cosines, const float* sines, float sign,
                uint32_t pairs, float* head) {
  bool halves = kind == RopePairs::kHalves;
  uint32_t stride = halves ? 1 : 2;
  uint32_t distance = halves ? pairs : 1;
  for (uint32_t i = 0; i < pairs; ++i) {
    float* first = head + i * stride;
    float x = first[0];
    float y = first[distance];
    const float sine = sign * sines[i];
    first[0] = x * cosines[i] - y * sine;
    first[distance] = y * cosines[i] + x * sine;
  }
}

}  // namespace

void rotate(RopePairs kind, const float* cosines, const float* sines, uint32_t pairs, float* head) {
  turn_pairs(kind, cosines, sines, 1, pairs, head);
}

void rotate_back(RopePairs kind, const float* cosines, const float* sines, uint32_t pairs,
                 float* head) {
  turn_pairs(kind, cosines, sines, -1, pairs, head);
}

}  // namespace potluck
