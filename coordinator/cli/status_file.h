// The status of a running coordinator, as a file in its state directory: written by `serve`, read
// by `status`. One thread each.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/base/storage.h"

namespace potluck {

Status write_status(Storage& storage, const std::string& state_directory,
                    const nlohmann::json& status);
// Fails with kNotFound when no coordinator has written one there.
Result<nlohmann::json> read_status(Storage& storage, const std::string& state_directory);

}  // namespace potluck
