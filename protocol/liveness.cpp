#include "protocol/liveness.h"

#include <algorithm>

namespace potluck {

Liveness PeerClock::liveness(TimePoint now) const {
  Duration silence = now - last_heard_;
  if (silence >= kDeadAfter) return Liveness::kDead;
  return silence >= kSuspectAfter ? Liveness::kSuspect : Liveness::kAlive;
}

// kSuspectAfter is no reason to wake up: a suspect peer is only avoided in what is decided anyway.
TimePoint PeerClock::next_due() const {
  return std::min(last_sent_ + kHeartbeatInterval, last_heard_ + kDeadAfter);
}

}  // namespace potluck
