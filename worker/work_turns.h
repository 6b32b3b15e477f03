// WorkTurns: whose work is next, where several pools share a processor: the one that took the least
// time. A pool that asks after a pause begins where the others are: it neither has credit for its
// pause nor waits for theirs. Pure; owns no clock. One thread.
#pragma once

#include <algorithm>
#include <map>

#include "engine/base/clock.h"
#include "protocol/keys.h"

namespace potluck {

class WorkTurns {
 public:
  // Whether a's turn is before b's; both have work.
  bool before(const PeerKey& a, const PeerKey& b) { return used(a) < used(b); }
  // The pool worked for so long.
  void took(const PeerKey& pool, Duration time) {
    reached_ = used(pool);
    used_[pool] = reached_ + std::max(time, Duration(1));
  }
  // The pool has no work.
  void idle(const PeerKey& pool) { used_.erase(pool); }

 private:
  Duration used(const PeerKey& pool) { return used_.try_emplace(pool, reached_).first->second; }

  std::map<PeerKey, Duration> used_;  // of pools with work
  Duration reached_{0};               // where the last one that worked began
};

}  // namespace potluck
