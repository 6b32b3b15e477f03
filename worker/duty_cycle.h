// DutyCycle: rests between pieces of work, so that a device computes no more than its share of the
// time. Work that takes t is followed by a rest of t * (100 - share) / share. Pure; owns no clock.
// One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/clock.h"

namespace potluck {

class DutyCycle {
 public:
  // What it computes at least, in percent: a device whose share is 0 may hold the only copy of an
  // expert until it has been copied.
  static constexpr uint8_t kLeastShare = 10;

  // Percent.
  void set_share(uint8_t share) { share_ = std::clamp<uint8_t>(share, kLeastShare, 100); }
  // Work that took so long ended at `end`.
  void worked(TimePoint end, Duration took) { rest_until_ = end + took * (100 - share_) / share_; }
  TimePoint rest_until() const { return rest_until_; }

 private:
  uint8_t share_ = 100;
  TimePoint rest_until_{0};
};

}  // namespace potluck
