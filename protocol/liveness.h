// Liveness arithmetic: when to say something, when to doubt, when to give up. Pure; owns no clock.
// Any message counts as a sign of life. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/clock.h"

namespace potluck {

inline constexpr Duration kHeartbeatInterval = std::chrono::milliseconds(1000);
inline constexpr Duration kSuspectAfter = 2 * kHeartbeatInterval;
// Longer than three beats: a phone's radio sleeps, and a worker answers between two pieces of work.
inline constexpr Duration kDeadAfter = 4 * kHeartbeatInterval;

enum class Liveness { kAlive, kSuspect, kDead };

class PeerClock {
 public:
  explicit PeerClock(TimePoint now) : last_heard_(now), last_sent_(now) {}

  void heard(TimePoint now) { last_heard_ = now; }
  void sent(TimePoint now) { last_sent_ = now; }
  Liveness liveness(TimePoint now) const;
  bool beat_due(TimePoint now) const { return now - last_sent_ >= kHeartbeatInterval; }
  // When there is something to do next: to beat, or to give the peer up. In the past if it was not
  // done in time; sent() and heard() move it on.
  TimePoint next_due() const;

 private:
  TimePoint last_heard_;
  TimePoint last_sent_;
};

// How long a call to a peer may take before somebody else is asked as well: a multiple of what its
// calls took lately, per row, never below a floor.
class DeadlineEstimator {
 public:
  void record(Duration took, uint32_t rows);
  Duration deadline(uint32_t rows) const;

 private:
  static constexpr size_t kWindow = 64;
  std::array<Duration, kWindow> per_call_{};  // ring of recent times, scaled to one row
  size_t count_ = 0;
};

}  // namespace potluck
