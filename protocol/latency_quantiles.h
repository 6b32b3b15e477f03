// LatencyQuantiles: how long a peer's recent answers took, as quantiles: a histogram whose bins
// grow by a quarter of an octave and whose counts fade. An outlier moves a quantile only together
// with others of its kind, and what is long past does not count. Pure; owns no clock. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "engine/base/clock.h"

namespace potluck {

class LatencyQuantiles {
 public:
  // Fewer answers say nothing about a tail.
  static constexpr uint32_t kEnough = 20;

  void record(Duration took);
  // Such that a share `q` of the recent answers took no longer; up to a fifth too long, never too
  // short. Nothing until there were enough.
  std::optional<Duration> quantile(double q, uint32_t enough = kEnough) const;
  uint32_t count() const { return total_; }

 private:
  // From 50 us to 25 s.
  static constexpr size_t kBins = 76;
  // All counts are halved here: what is left of an answer after so many others is a half. Large
  // enough that 1 in 100 is more than one or two answers.
  static constexpr uint32_t kMost = 512;

  static size_t bin_of(Duration took);
  void fade();

  std::array<uint16_t, kBins> counts_{};
  uint32_t total_ = 0;
};

}  // namespace potluck
