// DeviceFacts as JSON, in reports of a pool. What is not known is not there. Pure functions; any
// thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "coordinator/plan/device_facts.h"

namespace potluck {

nlohmann::json describe_facts(const DeviceFacts& facts);
// Whatever the document is: what is missing or senseless is not known.
DeviceFacts facts_of_json(const nlohmann::json& document);

}  // namespace potluck
