// CircuitBreaker: whether a worker that failed lately is given work. Pure; owns no clock. One
// thread.
//
//   closed ----a failure----> open -----time passes----> half-open
//      ^                        ^                            |  one message at a time
//      +------------------------|---------- it succeeds -----+
//                               +---------- it fails --------+
//
// Open for a second at first, twice as long each time until it has succeeded.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/clock.h"

namespace potluck {

enum class BreakerState : uint8_t { kClosed, kOpen, kHalfOpen };

constexpr const char* breaker_name(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return "closed";
    case BreakerState::kOpen:
      return "open";
    case BreakerState::kHalfOpen:
      return "half-open";
  }
  return "?";
}

class CircuitBreaker {
 public:
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr uint32_t kLongestPausePower = 6;  // about a minute

  BreakerState state(TimePoint now) const {
    if (now < open_until_) return BreakerState::kOpen;
    return probing_ ? BreakerState::kHalfOpen : BreakerState::kClosed;
  }
  // Whether nothing failed since the last success.
  bool untroubled() const { return failures_ == 0; }

  // What fails while it is open was asked before: that is no further failure.
  void fail(TimePoint now) {
    if (now < open_until_) return;
    open_until_ = now + kFirstPause * (int64_t{1} << failures_);
    failures_ = std::min(failures_ + 1, kLongestPausePower);
    probing_ = true;
  }
  void succeed() {
    failures_ = 0;
    probing_ = false;
  }
  // The last failure was none after all. It counts again if another one follows before a success.
  void pardon() {
    open_until_ = TimePoint{0};
    probing_ = false;
  }

 private:
  TimePoint open_until_{0};
  bool probing_ = false;
  uint32_t failures_ = 0;  // since the last success
};

}  // namespace potluck
