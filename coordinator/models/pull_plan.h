// What a pull is to fetch, found out from a hub or a server. Blocks; one thread.
#pragma once

#include "coordinator/models/hub_address.h"
#include "coordinator/models/pull_record.h"
#include "coordinator/spread/http_handle.h"

namespace potluck {

// Of a repository. kNotFound, kInvalidArgument: the error lists which models it has.
Result<PullRecord> plan_hub_pull(const std::string& hub, const HubAddress& wanted,
                                 const HttpOptions& http);

// Of any server; all parts of a split model. `sha256`: as the user gives it, for one file.
Result<PullRecord> plan_address_pull(const std::string& address,
                                     const std::optional<Digest>& sha256, const HttpOptions& http);

}  // namespace potluck
