#include "coordinator/cli/status_file.h"

#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"

namespace potluck {
namespace {

constexpr uint64_t kStatusBytes = kMiB;

std::string status_path(const std::string& state_directory) {
  return state_directory + "/status.json";
}

}  // namespace

Status write_status(Storage& storage, const std::string& state_directory,
                    const nlohmann::json& status) {
  // It names devices and where they are reached.
  constexpr uint32_t kOwnerOnly = 0600;
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

}  // namespace potluck
