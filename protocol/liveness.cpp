#include "protocol/liveness.h"

#include <algorithm>

namespace potluck {
namespace {

// A call that met a cold disk, a thread that was scheduled late or a phone's radio that slept is no
// reason to ask somebody else.
constexpr Duration kFloor = std::chrono::milliseconds(100);
// Until something is known about the peer.
constexpr Duration kFirstDeadline = std::chrono::seconds(2);
constexpr size_t kEnoughCalls = 8;
// Dean and Barroso, "The Tail at Scale" (2013): well beyond the tail, so that asking twice stays
// rare.
constexpr int64_t kMargin = 3;
// Longer measurements are of no use, and the arithmetic cannot overflow.
constexpr Duration kLongestCall = std::chrono::minutes(10);

}  // namespace

Liveness PeerClock::liveness(TimePoint now) const {
  Duration silence = now - last_heard_;
  if (silence >= kDeadAfter) return Liveness::kDead;
  return silence >= kSuspectAfter ? Liveness::kSuspect : Liveness::kAlive;
}

// A peer that becomes suspect is no reason for anything before the next beat is due.
TimePoint PeerClock::next_due() const {
  return std::min(last_sent_ + kHeartbeatInterval, last_heard_ + kDeadAfter);
}

void DeadlineEstimator::record(Duration took, uint32_t rows) {
  Duration bounded = std::clamp(took, Duration::zero(), kLongestCall);
  per_call_[count_ % kWindow] = bounded / std::max<uint32_t>(rows, 1);
  ++count_;
}

Duration DeadlineEstimator::deadline(uint32_t rows) const {
  size_t known = std::min(count_, kWindow);
  // Of 64 times or fewer, the 99th percentile is the largest.
  Duration slowest = Duration::zero();
  if (known > 0) slowest = *std::max_element(per_call_.begin(), per_call_.begin() + known);
  Duration estimate = slowest * kMargin * std::max<uint32_t>(rows, 1);
  return std::max(estimate, known < kEnoughCalls ? kFirstDeadline : kFloor);
}

}  // namespace potluck
