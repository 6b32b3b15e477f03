// HealthWatch: looks at the device's condition every few seconds and says when the worker is to
// lend more or less of its speed. Owned by the worker's process; one thread.
#pragma once

#include <optional>
#include <string>

#include "protocol/message.h"
#include "worker/health_policy.h"

namespace potluck {

struct HealthOptions {
  bool watched = true;  // false: as if nothing were known of the device's condition
  HealthLimits limits;
  std::string file;  // read_health()
};

class HealthWatch {
 public:
  // Reading some dozen small files takes a millisecond; heat and batteries change over minutes.
  static constexpr Duration kInterval = std::chrono::seconds(5);

  // References must outlive the object.
  HealthWatch(const HealthOptions& options, const SystemFiles& files, const Clock& clock)
      : options_(options), files_(files), clock_(clock), policy_(options.limits) {}

  // What is to be told, if it has changed since the last time. Looks at most every kInterval.
  std::optional<HealthReport> look();

 private:
  HealthOptions options_;
  const SystemFiles& files_;
  const Clock& clock_;
  HealthPolicy policy_;
  std::optional<TimePoint> looked_at_;
  HealthReport told_;
};

// Of the day, local time.
uint32_t local_minute(int64_t unix_seconds);

}  // namespace potluck
