// Housekeeping: what `serve` does beside answering: counts for /metrics, the status file, the
// dashboard's report, and a word when the last invitation is gone. One thread: the one that owns
// the runtime.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "coordinator/cli/pool_history.h"
#include "coordinator/cli/pool_metrics.h"
#include "coordinator/cli/pool_reporter.h"
#include "coordinator/serving/http/dashboard_routes.h"

namespace potluck {

class Housekeeping {
 public:
  // References must outlive the object; `dashboard` may end before it, but is not looked at then.
  Housekeeping(Runtime& runtime, PoolMetrics& metrics, DashboardRoutes& dashboard,
               const EventHistory& events, const PoolOptions& pool, const Environment& environment);

  // To be called often; most of it is done once a second.
  void look();

 private:
  void look_at_invitations();
  void write_files(const nlohmann::json& status);
  void report_written(const Status& written);

  Runtime& runtime_;
  PoolMetrics& metrics_;
  DashboardRoutes& dashboard_;
  PoolReporter reporter_;
  PoolHistory history_;
  const Environment& environment_;
  std::string state_directory_;
  bool had_invitations_ = false;
  std::optional<TimePoint> status_at_;
  bool status_written_ = true;
  uint64_t map_written_ = 0;  // its version
};

}  // namespace potluck
