// What `potluck status` shows, read back from the files of a coordinator: its status, and its map
// of experts. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "coordinator/cli/pool_screen.h"

namespace potluck {

// All but what follows from several reports. `now` in seconds since 1970; `running`: the
// coordinator that wrote it lives.
PoolPicture picture_of(const nlohmann::json& status, const nlohmann::json& map, bool running,
                       int64_t now);
// `service`: of the same moment; an empty object where there is none.
PoolSample sample_of(const nlohmann::json& status, const nlohmann::json& service);

}  // namespace potluck
