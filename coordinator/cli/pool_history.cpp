#include "coordinator/cli/pool_history.h"

#include <algorithm>

namespace potluck {
namespace {

double seconds_between(uint64_t after, uint64_t before) {
  return after > before ? static_cast<double>(after - before) / 1e9 : 0;
}

double sum(const TimeShares& parts) {
  return parts.coordinator + parts.network + parts.disks + parts.experts;
}

void scale(TimeShares* parts, double factor) {
  for (double* part : {&parts->coordinator, &parts->network, &parts->disks, &parts->experts}) {
    *part *= factor;
  }
}

// What the workers computed and read, the way to them and back, and the rest, which the coordinator
// needs itself while it answers; in seconds.
TimeShares split(const PoolSample& after, const PoolSample& before) {
  const double local = seconds_between(after.layer_local, before.layer_local);
  const double wait = std::max(0.0, seconds_between(after.layer_wait, before.layer_wait) - local);
  const double computed = seconds_between(after.compute, before.compute);
  const double read = seconds_between(after.disk, before.disk);
  // The slowest worker of each layer is what one waits for; workers' own times are sums.
  const double slowest =
      std::min(wait, seconds_between(after.slowest_compute, before.slowest_compute));
  TimeShares parts;
  parts.disks =
      std::min(std::max(0.0, wait - slowest), computed > 0 ? slowest * read / computed : 0);
  parts.network = std::max(0.0, wait - slowest - parts.disks);
  parts.experts = slowest + local;
  const bool busy = after.busy || before.busy || after.answer_tokens > before.answer_tokens;
  if (busy) parts.coordinator = std::max(0.0, after.at - before.at - sum(parts));
  return parts;
}

}  // namespace

void PoolHistory::add(const PoolSample& sample) {
  if (!samples_.empty() && sample.at < samples_.back().at) *this = {};
  if (!samples_.empty() && sample.at == samples_.back().at) return;
  samples_.push_back(sample);
  if (samples_.size() > kSmoothed + 1) samples_.pop_front();
  if (samples_.size() < 2) return;
  const PoolSample& before = samples_[samples_.size() - 2];
  const PoolSample& base = samples_.front();
  TimeShares parts = split(sample, before);
  // Workers' clocks and ours do not begin a second together: no second has more than one.
  scale(&parts, 1 / std::max(sample.at - before.at, sum(parts)));
  parts_.push_back(parts);
  if (parts_.size() > kKept) parts_.pop_front();
  const uint64_t tokens = std::max(sample.answer_tokens, base.answer_tokens) - base.answer_tokens;
  rate_ = static_cast<double>(tokens) / (sample.at - base.at);
}

std::optional<TimeShares> PoolHistory::shares() const {
  TimeShares all;
  for (const TimeShares& parts : parts_) {
    all.coordinator += parts.coordinator;
    all.network += parts.network;
    all.disks += parts.disks;
    all.experts += parts.experts;
  }
  const double whole = sum(all);
  if (whole <= 0) return std::nullopt;
  scale(&all, 1 / whole);
  return all;
}

}  // namespace potluck
