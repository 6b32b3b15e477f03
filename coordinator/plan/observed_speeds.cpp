#include "coordinator/plan/observed_speeds.h"

#include <algorithm>
#include <vector>

#include "coordinator/plan/median.h"

namespace potluck {

std::optional<double> RecentMedian::value() const {
  if (count() == 0) return std::nullopt;
  return median(std::vector(values_.begin(), values_.begin() + static_cast<int64_t>(count())));
}

void ObservedSpeeds::record(const PeerKey& worker, const Answer& answer) {
  // Keys come and go; what was known of those that stay is soon seen again.
  if (workers_.size() >= kWorkersKept && !workers_.contains(worker)) workers_.clear();
  Worker& seen = workers_[worker];
  double took = in_seconds(answer.took);
  double beyond = std::max(0.0, took - in_seconds(answer.busy));
  if (answer.wire_bytes <= kSmallBytes) {
    seen.round_trips.add(beyond);
  } else if (answer.wire_bytes >= kLargeBytes) {
    double trip = seen.round_trips.value().value_or(0);
    double carrying = std::max(beyond - trip, 1e-6);
    seen.link_rates.add(static_cast<double>(answer.wire_bytes) / carrying);
  }
  if (answer.rows >= kManyRows && answer.computed > Duration::zero()) {
    // What a worker says that it computed less than this is a boast.
    double computed = std::max(in_seconds(answer.computed), took / 100);
    double bytes = static_cast<double>(answer.weight_bytes) * answer.rows;
    seen.many_rates.add(bytes / computed);
  }
  if (answer.rows != 1 || answer.weight_bytes == 0) return;
  seen.answers += 1;
  seen.seconds += took;
  seen.bytes += static_cast<double>(answer.weight_bytes);
  if (seen.answers < kHalvedAfter) return;
  seen.answers /= 2;
  seen.seconds /= 2;
  seen.bytes /= 2;
}

ObservedSpeeds::Seen ObservedSpeeds::of(const PeerKey& worker) const {
  auto found = workers_.find(worker);
  if (found == workers_.end()) return {};
  const Worker& seen = found->second;
  Seen result;
  bool enough = seen.round_trips.count() >= RecentMedian::kKept / 2;
  if (enough) result.round_trip = *seen.round_trips.value();
  result.link_rate = seen.link_rates.value().value_or(0);
  result.many_rate = seen.many_rates.value().value_or(0);
  if (seen.answers < kLeastAnswers) return result;
  double working = seen.seconds - seen.answers * result.round_trip;
  // Less than a tenth of it is within what a round trip varies by: it says nothing but "fast".
  result.rate = seen.bytes / std::max(working, seen.seconds / 10);
  return result;
}

}  // namespace potluck
