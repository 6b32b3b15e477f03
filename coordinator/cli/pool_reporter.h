// PoolReporter: puts together what `serve` tells of its pool: the status file each second, and what
// the dashboard shows. The thread that owns the runtime.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "coordinator/cli/event_history.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/http/pool_board.h"

namespace potluck {

class PoolReporter {
 public:
  // All must outlive the object.
  PoolReporter(Runtime* runtime, const EventHistory* events, const Environment& environment)
      : runtime_(*runtime),
        events_(*events),
        clock_(environment.clock),
        forecast_(*runtime, environment) {}

  // What the status file has.
  nlohmann::json status();
  // For the dashboard: `status` and more. `watched`: a page is open, so expert use is refreshed
  // every kHeatInterval.
  PoolReport report(nlohmann::json status, bool watched);

 private:
  // Looking at every unit takes milliseconds, in which nothing else happens to the pool.
  static constexpr Duration kMapInterval = std::chrono::seconds(2);
  static constexpr Duration kHeatInterval = std::chrono::seconds(10);

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
