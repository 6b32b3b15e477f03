// SharedRate: the arithmetic of simulated devices: something that moves bytes at a fixed rate, one
// message or record after the other. Plain value.
#pragma once

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/clock.h"

namespace potluck {

class SharedRate {
 public:
  explicit SharedRate(uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {
    CHECK(bytes_per_second > 0);
  }

  // When `bytes` that come at `arrival` are through, behind everything that came before.
  TimePoint through(TimePoint arrival, uint64_t bytes) {
    return after(arrival, duration_of(bytes));
  }
  // The same for what takes so long.
  TimePoint after(TimePoint arrival, Duration took) {
    free_at_ = std::max(arrival, free_at_) + took;
    return free_at_;
  }

  Duration duration_of(uint64_t bytes) const {
    double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second_);
    return Duration(static_cast<Duration::rep>(seconds * 1e9));
  }

 private:
  uint64_t bytes_per_second_;
  TimePoint free_at_{0};
};

}  // namespace potluck
