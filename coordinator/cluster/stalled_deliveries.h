// StalledDeliveries: which workers lack units that they are assigned and have reported nothing new
// for a while. They are told their assignment again and answer with all that they have. Without
// that, a report that went wrong is never mended: the worker holds what it believes to have told,
// and the coordinator waits. Owned by Membership; one thread.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "engine/base/clock.h"

namespace potluck {

class StalledDeliveries {
 public:
  // A unit over a slow link may take this long. Twice as long after each time it did not help.
  static constexpr Duration kPatience = std::chrono::seconds(60);
  static constexpr Duration kLongestPatience = std::chrono::minutes(16);

  // The workers to tell now.
  std::vector<PeerKey> take_due(const ClusterState& state, TimePoint now);
  // When take_due() may have an answer, as things stood when it was last called.
  std::optional<TimePoint> next() const;

 private:
  struct Delivery {
    uint64_t version = 0;  // of the assignment
    size_t ready = 0;
    Duration patience = kPatience;
    TimePoint due{0};
  };

  std::map<PeerKey, Delivery> deliveries_;  // of workers that lack units
};

}  // namespace potluck
