// What other commands ask the `serve` of this machine, over its control socket: JSON on one line
// each way. An answer with "error" is one.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "coordinator/cli/commands.h"
#include "coordinator/runtime/pool.h"

namespace potluck {

// For ControlServer: answers what is asked of this pool. The pool must outlive the handler.
std::function<std::string(const std::string&)> pool_control(Pool& pool);

// A device that waits to be admitted, as reports have it.
nlohmann::json describe_waiting(const WaitingDevice& device);

// A device of the pool, as reports have it.
nlohmann::json describe_device(const PoolDevice& device);

// The answer of the coordinator that runs on this machine; kNotFound when none does, and then
// `runs` is false.
Result<nlohmann::json> ask_coordinator(const nlohmann::json& question, bool* runs = nullptr);

}  // namespace potluck
