// CostDevice: how long a device takes for experts whose weights are not there: what of them is in
// its memory, what its disk has to read, and how fast it multiplies. Least recently used units
// leave the memory first; what is read ahead uses the disk when it would be idle. Owns no clock.
// One thread.
#pragma once

#include <list>
#include <unordered_map>

#include "simulator/pool_scenario.h"

#include "engine/base/clock.h"
#include "engine/experts/manifest.h"
#include "engine/experts/work_counters.h"
#include "protocol/message.h"

namespace potluck::sim {

class CostDevice {
 public:
  // The manifest must outlive the object.
  CostDevice(const DeviceKind& kind, const Manifest& manifest, uint32_t slices);

  struct Done {
    TimePoint at{0};
    WorkCounters work;
  };
  // Work that has come at that moment, behind what it was asked before.
  Done compute(const Compute& request, TimePoint now);
  // Everything takes so many times as long from now on.
  void throttle(double factor) { slower_ = factor; }
  // The process starts anew: its memory is empty.
  void restart(TimePoint now);
  uint64_t bytes_of(UnitId unit) const;

 private:
  struct Kept {
    std::list<UnitId>::iterator place;
    TimePoint read_at{0};  // when it is there
  };

  TimePoint need(UnitId unit, TimePoint now, WorkCounters* work);
  void read(UnitId unit, TimePoint now, WorkCounters* work);
  void prefetch(const std::vector<UnitId>& units, TimePoint now, WorkCounters* work);
  Duration time_for(uint64_t bytes, uint64_t rate) const;

  DeviceKind kind_;
  const Manifest& manifest_;
  uint32_t slices_;
  double slower_ = 1;
  TimePoint processor_free_{0};
  TimePoint disk_free_{0};
  std::list<UnitId> order_;  // the last used first
  std::unordered_map<UnitId, Kept> kept_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace potluck::sim
