// PoolForecast: how fast the plan expects a pool to be as it is now, beside how fast it is. One
// thread: the one that owns the runtime.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "coordinator/cli/commands.h"
#include "coordinator/dispatch/pool_view.h"
#include "coordinator/plan/cost_model.h"
#include "coordinator/runtime/runtime.h"

namespace potluck {

// The model of a file, as the planner knows it. Nothing but its header is read.
Result<PlanModel> read_plan_model(Storage& storage, const std::string& path);

// This machine's products in the formats that it computes as a coordinator, with so many threads
// (0: one per processor that may be used). Takes milliseconds for each format.
std::vector<ProductSpeed> measure_coordinator_products(const PlanModel& model, int threads,
                                                       const Environment& environment);

// Of one conversation; nothing while no device has a share. `coordinator` is as far as it is known.
std::optional<PhaseTime> expected_token_time(const PlanModel& model, const PoolView& view,
                                             const DeviceFacts& coordinator);

class PoolForecast {
 public:
  // Measures this machine. Both must outlive the object.
  PoolForecast(const Runtime& runtime, const Environment& environment);

  // As JSON; null where nothing can be said.
  const nlohmann::json& look(const PoolView& view);

 private:
  // Facts change a little all the time.
  static constexpr Duration kInterval = std::chrono::seconds(5);

  const Clock& clock_;
  std::optional<PlanModel> model_;
  DeviceFacts coordinator_;
  std::optional<TimePoint> looked_at_;
  std::shared_ptr<nlohmann::json> forecast_;
};

}  // namespace potluck
