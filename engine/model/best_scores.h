// Choosing the largest of many numbers, none of which is a NaN; ties go to the lower index. Linear,
// also where there are hundreds of thousands: a histogram says in which of its bars the last of
// them lies, and only what is in that bar has to be compared. Pure; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace potluck {

// Unsigned numbers in the order of the floats; zeros are equal.
inline uint32_t order_of(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0F);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
}

// The indices of the `count` best, at most as many as there are; in no particular order.
inline std::vector<uint32_t> best_scores(std::span<const float> scores, uint32_t count) {
  constexpr uint32_t kShift = 20;  // leaves the sign, the exponent and three bits
  std::array<uint32_t, 1U << (32 - kShift)> bars{};
  for (float score : scores) ++bars[order_of(score) >> kShift];
  auto bar = static_cast<uint32_t>(bars.size() - 1);
  uint32_t above = 0;  // in higher bars
  for (; above + bars[bar] < count; --bar) above += bars[bar];
  std::vector<uint32_t> best;
  best.reserve(count);
  // Scores of the bar over what makes lower indices the larger numbers.
  std::vector<uint64_t> candidates;
  candidates.reserve(bars[bar]);
  for (uint32_t i = 0; i < scores.size(); ++i) {
    const uint32_t order = order_of(scores[i]);
    if (order >> kShift > bar) best.push_back(i);
    if (order >> kShift == bar) candidates.push_back(uint64_t{order} << 32 | ~i);
  }
  const auto rest = candidates.begin() + (count - above);
  std::nth_element(candidates.begin(), rest, candidates.end(), std::greater<>());
  for (auto it = candidates.begin(); it != rest; ++it) best.push_back(~static_cast<uint32_t>(*it));
  return best;
}

}  // namespace potluck
