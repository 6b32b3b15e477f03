// StepTimes: how long a step of so many rows takes, from what the last ones took. Of steps that
// compute rows of answers alone. Plain value; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "engine/base/clock.h"

namespace potluck {

class StepTimes {
 public:
  // Steps after which a time counts no more: of what is measured all the time, and of what costs
  // something to measure.
  static constexpr uint64_t kFresh = 256;
  static constexpr uint64_t kRemembered = 1024;

  void note(uint32_t rows, Duration time);

  // In nanoseconds. Measured: the middle of the last few, if there are at least three that are
  // fresh.
  std::optional<double> measured(uint32_t rows) const;
  // By what is known of `base` rows, which must be measured (CHECK), and of more. A time that was
  // never measured lies on the line through those that were; before any of more rows is known, a
  // further row is taken to add half of what one of the base does.
  double estimate(uint32_t base, uint32_t rows) const;
  // The largest number of rows above `base` whose time is known; `base` if none is.
  uint32_t most_known(uint32_t base) const;

 private:
  struct Times {
    std::array<double, 5> last{};
    uint32_t count = 0;
    uint64_t noted = 0;  // after how many steps
  };

  static double middle(const Times& times);
  bool is_known(const Times& times) const { return steps_ - times.noted <= kRemembered; }

  std::map<uint32_t, Times> times_;  // by rows
  uint64_t steps_ = 0;
};

}  // namespace potluck
