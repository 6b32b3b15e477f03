// WorkerTrack: what the dispatcher has learnt about one worker: how long its calls take, whether it
// owes an overdue answer, and whether its answers were bad. Pure; owns no clock. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/clock.h"
#include "protocol/liveness.h"

namespace potluck {

// Giving work away too early costs more than waiting: the coordinator may have to read and lay out
// experts itself. A vanished worker is noticed otherwise (probes, heartbeats), so this deadline is
// for the one that is alive and stuck, and a second leaves room for a cold disk or a busy phone.
inline constexpr Duration kDeadlineFloor = std::chrono::seconds(1);

class WorkerTrack {
 public:
  bool usable(TimePoint now) const { return !overdue_ && now >= resting_until_; }
  Duration deadline(uint32_t rows) const {
    return std::max(kDeadlineFloor, estimator_.deadline(rows));
  }

  void answered(Duration took, uint32_t rows) { estimator_.record(took, rows); }
  void answered_well() { bad_in_a_row_ = 0; }
  // Gets no work for a while, twice as long each time: 1 s to about a minute.
  void answered_badly(TimePoint now) {
    int64_t seconds = int64_t{1} << std::min(bad_in_a_row_, kLongestRestPower);
    resting_until_ = now + std::chrono::seconds(seconds);
    ++bad_in_a_row_;
  }
  void missed_deadline() { overdue_ = true; }
  void heard() { overdue_ = false; }

 private:
  static constexpr uint32_t kLongestRestPower = 6;

  DeadlineEstimator estimator_;
  bool overdue_ = false;  // missed a deadline and was not heard from since
  TimePoint resting_until_{0};
  uint32_t bad_in_a_row_ = 0;
};

}  // namespace potluck
