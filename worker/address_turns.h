// AddressTurns: which of several addresses is tried, and for how long. Each has its turn; a round
// takes twice as long as the one before, so that an address that answers slowly gets its chance.
// With a single address a turn is the time after which it is tried anew. Plain value; one thread.
#pragma once

#include <cstddef>

#include "engine/base/clock.h"

namespace potluck {

class AddressTurns {
 public:
  // Long enough for a handshake with a coordinator that is busy.
  static constexpr Duration kFirstTurn = std::chrono::seconds(2);
  static constexpr Duration kLongestTurn = std::chrono::seconds(10);

  explicit AddressTurns(size_t addresses = 1, TimePoint now = TimePoint{0})
      : addresses_(addresses),
        turn_(addresses > 1 ? kFirstTurn : kLongestTurn),
        ends_at_(now + turn_) {}

  size_t current() const { return current_; }
  bool alone() const { return addresses_ <= 1; }
  bool over(TimePoint now) const { return now >= ends_at_; }
  TimePoint ends_at() const { return ends_at_; }

  void next(TimePoint now);
  // Something answers there: it is given the longest time to say more.
  void hold(TimePoint now) { ends_at_ = now + kLongestTurn; }

 private:
  size_t addresses_;
  size_t current_ = 0;
  Duration turn_;
  TimePoint ends_at_;
};

}  // namespace potluck
