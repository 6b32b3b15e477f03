#include "protocol/liveness.h"

#include <algorithm>

namespace potluck {

Liveness PeerClock::liveness(TimePoint now) const {
  Duration silence = now - last_heard_;
  if (silence >= kDeadAfter) return Liveness::kDead;
  return silence >= kSuspectAfter ? Liveness::kSuspect : Liveness::kAlive;
}

// A peer that becomes suspect is no reason for anything before the next beat is due.
TimePoint PeerClock::next_due() const {
  return std::min(last_sent_ + kHeartbeatInterval, last_heard_ + kDeadAfter);
}

}  // namespace potluck
