// IdleScrub: reads the worker's store, bit by bit, while there is nothing else to do, so that
// rotten grains are fetched again before a request waits for them. One thread.
#pragma once

#include <algorithm>
#include <optional>

#include "engine/base/clock.h"
#include "engine/experts/grain_store.h"

namespace potluck {

class IdleScrub {
 public:
  // Nothing was asked of the worker for so long.
  static constexpr Duration kQuiet = std::chrono::seconds(5);
  // 10 MB/s at most, and a message that comes meanwhile waits for one step at most: a few
  // milliseconds, plus what a grain larger than that takes.
  static constexpr uint64_t kStepBytes = 1 * kMiB;
  static constexpr Duration kPause = std::chrono::milliseconds(100);
  // After a round: reading costs power, and flash rots slowly.
  static constexpr Duration kRest = std::chrono::hours(24);

  // Both must outlive the object.
  IdleScrub(GrainStore& store, const Clock& clock)
      : store_(store), clock_(clock), next_(clock.now() + kQuiet) {}

  // A peer asked for something.
  void worked() { next_ = std::max(next_, clock_.now() + kQuiet); }

  TimePoint next_tick() const { return next_; }
  // A step, if it is time for one.
  std::optional<ScrubResult> on_tick();

 private:
  GrainStore& store_;
  const Clock& clock_;
  TimePoint next_;
};

}  // namespace potluck
