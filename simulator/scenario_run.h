// ScenarioRun: runs a scenario once, in virtual time, with one seed, and judges what came of it.
// One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "simulator/expert_routes.h"
#include "simulator/scenario_devices.h"
#include "simulator/scenario_result.h"
#include "simulator/shape_model.h"

namespace potluck::sim {

struct ScenarioModels {
  std::unique_ptr<SimModel> with_weights;  // one of the two
  std::unique_ptr<ShapeModel> shape;
  const RouteTrace* trace = nullptr;  // for a shape; may be null
};

// The error says what in the scenario makes no model.
Result<ScenarioModels> make_models(const PoolScenario& scenario);

// Both must outlive the call. The same seed takes the same course.
ScenarioResult run_scenario(const PoolScenario& scenario, const ScenarioModels& models,
                            uint64_t seed);

}  // namespace potluck::sim
