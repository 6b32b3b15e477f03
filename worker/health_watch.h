// HealthWatch: looks at the device's condition every few seconds and says when the worker is to
// lend more or less of its speed. Owned by the worker's process; one thread.
#pragma once

#include <optional>
#include <string>

#include "protocol/message.h"
#include "worker/health_policy.h"
#include "worker/power_meter.h"

namespace potluck {

struct HealthOptions {
  bool watched = true;  // false: as if nothing were known of the device's condition
  HealthLimits limits;
  std::string file;  // read_health()
};

// What a worker knows of itself beside the device's condition.
struct OwnUse {
  uint64_t resident_bytes = 0;  // of the experts in memory
  uint64_t written_bytes = 0;   // to its store: ever,
  uint64_t written_today = 0;
  uint64_t writes_per_day = 0;  // and what its owner allows; 0: any
};

class HealthWatch {
 public:
  // Reading some dozen small files takes a millisecond; heat and batteries change over minutes.
  static constexpr Duration kInterval = std::chrono::seconds(5);
  // Memory can be gone within seconds, and then processes are killed.
  static constexpr Duration kMemoryInterval = std::chrono::seconds(1);

  // References must outlive the object. `memory_bytes`: offered to experts; 0: all that is used
  // may stay.
  HealthWatch(const HealthOptions& options, const SystemFiles& files, const Clock& clock,
              uint64_t memory_bytes = 0)
      : options_(options),
        files_(files),
        clock_(clock),
        policy_(options.limits),
        memory_bytes_(memory_bytes),
        memory_(memory_bytes),
        power_(files, options.file) {}

  // What is to be told, if it has changed since the last time. Looks at most every kMemoryInterval.
  std::optional<HealthReport> look(const OwnUse& own = {});
  // How often and how much memory was given back.
  const MemoryPolicy& memory() const { return memory_; }

 private:
  void look_at_condition(TimePoint now);
  DeviceUse use_at_present(const OwnUse& own, TimePoint now);

  HealthOptions options_;
  const SystemFiles& files_;
  const Clock& clock_;
  HealthPolicy policy_;
  uint64_t memory_bytes_;
  MemoryPolicy memory_;
  PowerMeter power_;
  uint32_t milliwatts_ = 0;
  std::optional<TimePoint> looked_at_;
  std::optional<TimePoint> condition_at_;
  HealthReport condition_;  // without the use
  HealthReport told_;
};

// Of the day, local time.
uint32_t local_minute(int64_t unix_seconds);

}  // namespace potluck
