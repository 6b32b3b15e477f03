#include "worker/address_turns.h"

#include <algorithm>

namespace potluck {

void AddressTurns::next(TimePoint now) {
  if (++current_ >= addresses_) {
    current_ = 0;
    turn_ = std::min(2 * turn_, kLongestTurn);
  }
  ends_at_ = now + turn_;
}

}  // namespace potluck
