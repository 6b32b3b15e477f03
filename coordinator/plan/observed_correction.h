// What was seen of devices, put against what the cost model expects of them from their own
// measurements. Pure; any thread.
#pragma once

#include <vector>

#include "coordinator/plan/cost_model.h"

namespace potluck {

// Sets the corrections of the pool's devices by their observed rates. `held[i]`: the part of every
// layer that device i has had while it was observed. `pool` comes from with_assumptions().
void correct_by_observation(const PlanModel& model, const std::vector<double>& held,
                            PlanPool* pool);

}  // namespace potluck
