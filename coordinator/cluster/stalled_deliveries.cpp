#include "coordinator/cluster/stalled_deliveries.h"

#include <algorithm>

namespace potluck {

std::vector<PeerKey> StalledDeliveries::take_due(const ClusterState& state, TimePoint now) {
  std::erase_if(deliveries_, [&](const auto& entry) {
    const WorkerRecord* worker = state.worker(entry.first);
    return worker == nullptr || worker->ready.size() == worker->assigned.size();
  });
  std::vector<PeerKey> due;
  for (const auto& [peer, worker] : state.workers()) {
    if (worker.ready.size() == worker.assigned.size()) continue;
    Delivery& delivery = deliveries_[peer];
    const bool new_here = delivery.due == TimePoint(0);
    if (new_here || delivery.version != worker.assignment_version ||
        delivery.ready != worker.ready.size()) {
      delivery = {worker.assignment_version, worker.ready.size(), kPatience, now + kPatience};
    } else if (now >= delivery.due) {
      delivery.patience = std::min(2 * delivery.patience, kLongestPatience);
      delivery.due = now + delivery.patience;
      due.push_back(peer);
    }
  }
  return due;
}

std::optional<TimePoint> StalledDeliveries::next() const {
  std::optional<TimePoint> next;
  for (const auto& [peer, delivery] : deliveries_) {
    next = next ? std::min(*next, delivery.due) : delivery.due;
  }
  return next;
}

}  // namespace potluck
