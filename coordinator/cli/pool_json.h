// What people are shown of a pool, as JSON: the one place that names its members. `potluck status`
// reads it back from the status file, the dashboard as it is. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "coordinator/cluster/device_list.h"
#include "coordinator/dispatch/pool_view.h"

namespace potluck {

// "workers", "units_assigned", "units_ready" and "own_share".
nlohmann::json describe_view(const PoolView& view);
// Which device has which experts, and how much each is used.
nlohmann::json describe_map(const UnitMap& map);

// The same back, as far as it is shown; of documents that another version may have written: what is
// missing or makes no sense stays as in an empty view, or is left out.
PoolView view_of_json(const nlohmann::json& document);
WorkerHealth health_of_json(const nlohmann::json& document);
// Uses are no counts any more, but in the same proportions on the scale of describe_map().
UnitMap map_of_json(const nlohmann::json& document);

// A device that waits to be admitted, as reports have it.
nlohmann::json describe_waiting(const WaitingDevice& device);
// A device of the pool, as reports have it.
nlohmann::json describe_device(const PoolDevice& device);

}  // namespace potluck
