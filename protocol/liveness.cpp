#include "protocol/liveness.h"

#include <algorithm>

namespace potluck {

Liveness PeerClock::liveness(TimePoint now) const {
  Duration silence = now - last_heard_;
  if (silence >= kDeadAfter) return Liveness::kDead;
  return silence >= kSuspectAfter ? Liveness::kSuspect : Liveness::kAlive;
}

TimePoint PeerClock::next_change(TimePoint now) const {
  TimePoint next = TimePoint::max();
  for (TimePoint change :
       {last_sent_ + kHeartbeatInterval, last_heard_ + kSuspectAfter, last_heard_ + kDeadAfter}) {
    if (change > now) next = std::min(next, change);
  }
  return next;
}

}  // namespace potluck
