// The devices on an allow list, as people see and name them. Plain functions; one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/allow_list.h"

namespace potluck {

struct PoolDevice {
  PeerKey key;
  std::string name;           // that it was given here
  bool member = false;        // it is connected at present, as far as is known
  std::string worker_name{};  // that it gives itself now, if it is

  bool operator==(const PoolDevice&) const = default;
};

// In order of their names.
std::vector<PoolDevice> list_devices(const AllowList& list);

// By its key or at least 4 characters of its beginning, or by its name. An error if there is none,
// or more than one.
Result<PoolDevice> find_device(const AllowList& list, std::string_view typed);

// Both return the device as it was found.
Result<PoolDevice> rename_device(AllowList& list, std::string_view typed, const std::string& name);
Result<PoolDevice> revoke_device(AllowList& list, std::string_view typed);

}  // namespace potluck
