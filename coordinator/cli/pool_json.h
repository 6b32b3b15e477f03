// What people are shown of a pool, as JSON: the one place that names its members. `potluck status`
// reads a part of it from the status file, the dashboard all of it. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "coordinator/cluster/device_list.h"
#include "coordinator/dispatch/pool_view.h"

namespace potluck {

// "workers", "units_assigned", "units_ready" and "own_share".
nlohmann::json describe_view(const PoolView& view);
// Which device has which experts, and how much each is used.
nlohmann::json describe_map(const UnitMap& map);

// A device that waits to be admitted, as reports have it.
nlohmann::json describe_waiting(const WaitingDevice& device);
// A device of the pool, as reports have it.
nlohmann::json describe_device(const PoolDevice& device);

}  // namespace potluck
