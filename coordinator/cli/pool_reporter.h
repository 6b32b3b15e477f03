// PoolReporter: puts together what `serve` tells of its pool: the status file each second, and what
// the dashboard shows. The thread that owns the runtime.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "coordinator/cli/event_history.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/runtime/runtime.h"

namespace potluck {

class PoolReporter {
 public:
  // All must outlive the object.
  PoolReporter(Runtime* runtime, const EventHistory* events, const Environment& environment)
      : runtime_(*runtime),
        events_(*events),
        clock_(environment.clock),
        forecast_(*runtime, environment) {}

  // What the status file and the dashboard have. `watched`: a page is open, so expert use is
  // refreshed every kHeatInterval.
  nlohmann::json status(bool watched);
  // The map of experts, as the text of a JSON object; empty before the first. Another version is
  // another text.
  const std::string& map() const { return map_; }
  uint64_t map_version() const { return map_version_; }

 private:
  // Looking at every unit takes milliseconds, in which nothing else happens to the pool.
  static constexpr Duration kMapInterval = std::chrono::seconds(2);
  static constexpr Duration kHeatInterval = std::chrono::seconds(10);
  // Where no page is open: it may be shown in a terminal.
  static constexpr Duration kUnwatchedInterval = std::chrono::seconds(60);

  void update_map(bool watched);

  Runtime& runtime_;
  const EventHistory& events_;
  const Clock& clock_;
  PoolForecast forecast_;
  uint64_t fingerprint_ = 0;
  uint64_t map_version_ = 0;
  std::string map_;
  std::optional<TimePoint> looked_at_;
  std::optional<TimePoint> mapped_at_;
};

}  // namespace potluck
