// The part of `potluck keys` that is about devices: who may connect to the coordinator of this
// machine. A running `serve` does what is asked, and it follows at once; where none runs, the list
// itself is changed.
#pragma once

#include <string>

#include "coordinator/cli/commands.h"

namespace potluck {

struct DeviceKeysFlags {
  std::string action;  // "devices", "rename" or "revoke"
  std::string device;  // a name, or the beginning of a key
  std::string new_name;
  bool json = false;
};

Status run_device_keys(const DeviceKeysFlags& flags, const Environment& environment);

}  // namespace potluck
