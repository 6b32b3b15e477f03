#include "coordinator/cli/status_file.h"

#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"

namespace potluck {
namespace {

// 256 workers that have all fetched from each other are told of in 10 MiB.
constexpr uint64_t kStatusBytes = 16 * kMiB;
// They name devices and where these are reached.
constexpr uint32_t kOwnerOnly = 0600;

std::string status_path(const std::string& state_directory) {
  return state_directory + "/status.json";
}

std::string map_path(const std::string& state_directory) {
  return state_directory + "/map.json";
}

}  // namespace

Status write_status(Storage& storage, const std::string& state_directory,
                    const nlohmann::json& status) {
  return storage.write_atomic(status_path(state_directory), as_bytes(json_text(status)),
                              kOwnerOnly);
}

Result<nlohmann::json> read_status(Storage& storage, const std::string& state_directory) {
  std::string path = status_path(state_directory);
  if (!storage.exists(path)) {
    return Error{ErrorCode::kNotFound, path + ": no coordinator has run here"};
  }
  Result<ByteVector> text = read_file(storage, path, kStatusBytes);
  if (!text) return text.error();
  Result<nlohmann::json> status = read_json(as_text(*text));
  if (!status) return status.error().in(path);
  if (!status->is_object()) return Error{ErrorCode::kCorrupt, path + ": expected a JSON object"};
  return status;
}

Status write_map(Storage& storage, const std::string& state_directory, const std::string& map) {
  return storage.write_atomic(map_path(state_directory), as_bytes(map), kOwnerOnly);
}

nlohmann::json read_map(Storage& storage, const std::string& state_directory) {
  const Result<ByteVector> text = read_file(storage, map_path(state_directory), kStatusBytes);
  if (!text) return nlohmann::json::object();
  Result<nlohmann::json> map = read_json(as_text(*text));
  return map && map->is_object() ? *map : nlohmann::json::object();
}

}  // namespace potluck
