// What other commands ask the `serve` of this machine, over its control socket, and the dashboard
// over HTTP: JSON on one line each way. An answer with "error" is one.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "coordinator/cli/commands.h"
#include "coordinator/runtime/pool.h"

namespace potluck {

// For ControlServer: answers what is asked of this pool. The pool must outlive the handler.
std::function<std::string(const std::string&)> pool_control(Pool& pool);

// The answer of the coordinator that runs on this machine; kNotFound when none does, and then
// `runs` is false.
Result<nlohmann::json> ask_coordinator(const nlohmann::json& question, bool* runs = nullptr);

}  // namespace potluck
