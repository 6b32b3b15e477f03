// The status of a running coordinator, and its map of experts, as files in its state directory:
// written by `serve`, read by `status`. One thread each.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/base/storage.h"

namespace potluck {

Status write_status(Storage& storage, const std::string& state_directory,
                    const nlohmann::json& status);
// Fails with kNotFound when no coordinator has written one there.
Result<nlohmann::json> read_status(Storage& storage, const std::string& state_directory);

// `map`: the text of a JSON object.
Status write_map(Storage& storage, const std::string& state_directory, const std::string& map);
// An empty object where there is none that can be read: it is shown if it is there.
nlohmann::json read_map(Storage& storage, const std::string& state_directory);

}  // namespace potluck
