// PrefillPace: how many rows of prompts a step may have while others are being answered, so that
// their tokens come at most about twice as far apart as in quiet times. It learns from the times
// between tokens; what it says changes no token. Plain value; one thread.
#pragma once

#include <cstdint>

#include "engine/base/clock.h"

namespace potluck {

class PrefillPace {
 public:
  explicit PrefillPace(uint32_t most) : most_(most), rows_(most < kFirst ? most : kFirst) {}

  uint32_t rows() const { return rows_; }
  // Two tokens of one answer came so far apart, with rows of prompts under way meanwhile or
  // without.
  void note(Duration between, bool with_prompts);

 private:
  static constexpr uint32_t kFirst = 64;
  static constexpr uint32_t kLeast = 8;

  uint32_t most_;
  uint32_t rows_;
  double quiet_ = 0;  // nanoseconds between tokens without prompts, smoothed; 0: unknown
};

}  // namespace potluck
