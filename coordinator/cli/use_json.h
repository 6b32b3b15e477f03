// What a device uses of itself (DeviceUse), as JSON: the same in the status of a pool and of a
// worker. Pure functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "protocol/message.h"

namespace potluck {

nlohmann::json describe_use(const DeviceUse& use);
// What is missing or of another type is 0: not said.
DeviceUse use_of_json(const nlohmann::json& document);

}  // namespace potluck
