// ServePacer: how fast a device may send bulk data, so that generation does not suffer from it: a
// token bucket whose rate drops while there is work. A part is sent whenever the bucket is not in
// debt, and then charged in full, so parts may be of any size. Pure arithmetic; one thread.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"

namespace potluck {

// More than home networks carry: nothing is held back while no pool is generating.
inline constexpr uint64_t kDefaultServeRate = kGiB;  // bytes per second

class ServePacer {
 public:
  // While there is work, an eighth of the rate is left, and never more than this: a seventh of a
  // gigabit link, or a few percent of a processor for encryption.
  static constexpr uint64_t kMostWhileBusy = 16 * kMiB;
  // Between two layers of a token there is less than this; after it the work is over.
  static constexpr Duration kBusyFor = std::chrono::milliseconds(250);

  explicit ServePacer(uint64_t bytes_per_second);

  // A piece of work has come, or was sent.
  void work_seen(TimePoint now);
  bool may_send(TimePoint now);
  void sent(uint64_t bytes, TimePoint now);
  // When may_send() may turn true, if nothing else happens.
  TimePoint next(TimePoint now) const;

 private:
  bool busy(TimePoint now) const { return worked_ && now - worked_at_ < kBusyFor; }
  uint64_t rate(TimePoint now) const;
  void refill(TimePoint now);

  uint64_t idle_rate_;
  bool worked_ = false;
  TimePoint worked_at_{0};
  TimePoint refilled_at_{0};
  double balance_;  // bytes; below zero: in debt
};

}  // namespace potluck
