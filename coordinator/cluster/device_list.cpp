#include "coordinator/cluster/device_list.h"

#include <algorithm>

#include <fmt/format.h>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kLeastKeyCharacters = 4;
constexpr size_t kGivenNameBytes = 64;
constexpr size_t kQuotedBytes = 80;

}  // namespace

std::vector<PoolDevice> list_devices(const AllowList& list) {
  std::vector<PoolDevice> devices;
  for (const auto& [key, name] : list.entries()) devices.push_back({key, name});
  std::stable_sort(devices.begin(), devices.end(),
                   [](const PoolDevice& a, const PoolDevice& b) { return a.name < b.name; });
  return devices;
}

Result<PoolDevice> find_device(const AllowList& list, std::string_view typed) {
  std::vector<PoolDevice> named;
  std::vector<PoolDevice> keyed;
  for (PoolDevice& device : list_devices(list)) {
    const bool by_key = typed.size() >= kLeastKeyCharacters && device.key.text().starts_with(typed);
    if (device.name == typed) named.push_back(device);
    if (by_key) keyed.push_back(std::move(device));
  }
  // A device may call itself by another one's key: what is typed as a key is meant as one.
  std::vector<PoolDevice>& found = keyed.empty() ? named : keyed;
  if (found.size() == 1) return std::move(found.front());
  const std::string quoted = clean_text(typed, kQuotedBytes);
  if (found.empty()) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("no device has the name '{}' or a key that begins so", quoted)};
  }
  std::string keys;
  for (const PoolDevice& device : found) {
    keys += (keys.empty() ? "" : ", ") + device.key.text();
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} devices are called '{}'; say which by its key: {}", found.size(),
                           quoted, keys)};
}

Result<PoolDevice> rename_device(AllowList& list, std::string_view typed, const std::string& name) {
  if (name.empty() || clean_text(name, kGivenNameBytes) != name) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected a name of 1 to {} bytes without control characters",
                             kGivenNameBytes)};
  }
  auto device = find_device(list, typed);
  if (!device) return device.error();
  if (Status renamed = list.add(device->key, name); !renamed) return renamed.error();
  return device;
}

Result<PoolDevice> revoke_device(AllowList& list, std::string_view typed) {
  auto device = find_device(list, typed);
  if (!device) return device.error();
  if (Status removed = list.remove(device->key); !removed) return removed.error();
  return device;
}

}  // namespace potluck
