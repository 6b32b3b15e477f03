// Liveness arithmetic: when to say something, when to doubt, when to give up. Pure; owns no clock.
// Any message counts as a sign of life. One thread.
#pragma once

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
  TimePoint last_heard() const { return last_heard_; }
  Liveness liveness(TimePoint now) const;
  bool beat_due(TimePoint now) const { return now - last_sent_ >= kHeartbeatInterval; }
  // When there is something to do next: to beat, or to give the peer up. In the past if it was not
  // done in time; sent() and heard() move it on.
  TimePoint next_due() const;

 private:
  TimePoint last_heard_;
  TimePoint last_sent_;
};

}  // namespace potluck
