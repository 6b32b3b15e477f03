// The file of `potluck simulate`: a pool, a model, questions, and what happens to the devices, in
// TOML (docs/SIMULATOR.md lists the keys):
//
//   [scenario]
//   questions = 3
//   every = "20s"
//
//   [[device]]
//   name = "phone"
//   count = 4
//   disk-rate = "300MB/s"
//   delay = "3ms"
//
//   [[event]]
//   at = "12s"
//   kind = "crash"
//   device = "phone"
//   for = "5s"
//
// Pure functions; any thread.
#pragma once

#include <string>

#include "simulator/pool_scenario.h"

#include "engine/base/storage.h"

namespace potluck {

// Errors name the file, the line, the table and the key.
Result<sim::PoolScenario> parse_scenario(const std::string& path, std::string_view text);
Result<sim::PoolScenario> read_scenario_file(Storage& storage, const std::string& path);

}  // namespace potluck
