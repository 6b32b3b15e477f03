// What `potluck simulate` says of a run: as JSON for programs, and as text for people. Pure
// functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "simulator/scenario_result.h"

namespace potluck {

nlohmann::json describe_simulation(const sim::ScenarioResult& result);

// Lines; `whole_log`: with everything that the pool told its people.
std::vector<std::string> simulation_lines(const nlohmann::json& run, bool whole_log);

}  // namespace potluck
