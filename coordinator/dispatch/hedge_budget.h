// HedgeBudget: how many messages may be sent twice because an answer is merely later than usual.
// Plain value; one thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace potluck {

class HedgeBudget {
 public:
  // Of the messages sent. Asking again where 1 in 20 answers is late takes just these; Dean and
  // Barroso, "The Tail at Scale" (2013), need 2 % for most of the gain, and recommend to stay
  // below 5 %, since in a pool that is slow because it is busy every hedge makes it busier.
  static constexpr double kShare = 0.05;
  // What a quiet time saves up: a token's worth of hedges, not a storm of them.
  static constexpr double kMost = 8;

  void message_sent() { credit_ = std::min(credit_ + kShare, kMost); }
  // Whether so many more may be sent; they are then accounted for.
  bool take(uint32_t messages) {
    if (credit_ < messages) return false;
    credit_ -= messages;
    return true;
  }

 private:
  double credit_ = 0;
};

}  // namespace potluck
