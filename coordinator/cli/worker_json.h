// A worker's report as JSON, on its way over the control socket from `join` to `status --worker`:
// the one place that names its members. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "worker/worker_daemon.h"

namespace potluck {

nlohmann::json describe_worker_report(const WorkerReport& report);
// What is missing, or makes no sense, stays as in an empty report.
WorkerReport worker_report_of_json(const nlohmann::json& document);

}  // namespace potluck
