#include "simulator/cost_device.h"

#include <algorithm>

#include "coordinator/cluster/placement.h"

namespace potluck::sim {

CostDevice::CostDevice(const DeviceKind& kind, const Manifest& manifest, uint32_t slices)
    : kind_(kind), manifest_(manifest), slices_(slices) {}

uint64_t CostDevice::bytes_of(UnitId unit) const {
  return unit_bytes(manifest_, unit, slices_);
}

Duration CostDevice::time_for(uint64_t bytes, uint64_t rate) const {
  double seconds = static_cast<double>(bytes) * slower_ / static_cast<double>(rate);
  return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

void CostDevice::restart(TimePoint now) {
  order_.clear();
  kept_.clear();
  kept_bytes_ = 0;
  processor_free_ = disk_free_ = now;
}

void CostDevice::read(UnitId unit, TimePoint now, WorkCounters* work) {
  uint64_t bytes = bytes_of(unit);
  disk_free_ = std::max(disk_free_, now) + time_for(bytes, kind_.disk_rate);
  work->disk_bytes += bytes;
  order_.push_front(unit);
  kept_[unit] = {order_.begin(), disk_free_};
  kept_bytes_ += bytes;
  while (kept_bytes_ > kind_.ram_bytes && order_.size() > 1) {
    kept_bytes_ -= bytes_of(order_.back());
    kept_.erase(order_.back());
    order_.pop_back();
  }
}

// Returns when it is in memory.
TimePoint CostDevice::need(UnitId unit, TimePoint now, WorkCounters* work) {
  auto found = kept_.find(unit);
  if (found == kept_.end()) {
    ++work->cache_misses;
    read(unit, now, work);
    return disk_free_;
  }
  ++work->cache_hits;
  order_.splice(order_.begin(), order_, found->second.place);
  return found->second.read_at;
}

// The disk gets to it when everything else is done, and stops when it is needed again; here it
// begins only with what it can end within the time of a message.
void CostDevice::prefetch(const std::vector<UnitId>& units, TimePoint now, WorkCounters* work) {
  constexpr Duration kIdle = std::chrono::milliseconds(20);
  for (UnitId unit : units) {
    if (kept_.contains(unit)) continue;
    if (disk_free_ > now + kIdle) return;
    read(unit, now, work);
    work->prefetched_bytes += bytes_of(unit);
  }
}

CostDevice::Done CostDevice::compute(const Compute& request, TimePoint now) {
  Done done;
  TimePoint in_memory = now;
  uint64_t bytes = 0;
  for (const ComputeRow& row : request.rows) {
    for (const UnitCall& call : row.calls) {
      UnitId unit{static_cast<uint16_t>(request.work.layer), call.expert, call.slice};
      in_memory = std::max(in_memory, need(unit, now, &done.work));
      bytes += bytes_of(unit);
    }
  }
  prefetch(request.prefetch, now, &done.work);
  TimePoint start = std::max(processor_free_, now);
  Duration products = time_for(bytes, kind_.products);
  // Products begin with what is there: the two overlap.
  done.at = std::max(start + products, in_memory + products / 4);
  processor_free_ = done.at;
  done.work.compute = static_cast<uint64_t>(products.count());
  done.work.disk = static_cast<uint64_t>(std::max(Duration(0), done.at - start - products).count());
  return done;
}

}  // namespace potluck::sim
