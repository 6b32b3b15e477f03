// What a device knows about its own condition: battery, heat, memory pressure, kind of network. A
// pure function of a few small text files: those of Linux below /sys and /proc, and one that its
// owner writes, for systems that say such things elsewhere (Android through Termux). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/process_limits.h"
#include "worker/memory_policy.h"

namespace potluck {

// What is not known is absent: a desktop has no battery, a virtual machine no thermometer.
struct DeviceHealth {
  std::optional<uint8_t> battery_percent;  // of all batteries that power the device, their mean
  bool on_battery = false;                 // nothing charges it
  std::optional<int32_t> battery_celsius;  // of the warmest battery
  std::optional<int32_t> celsius;          // of the warmest processor
  std::optional<double> memory_stall;      // percent of the last 10 s in which some process waited
                                           // for memory (Linux: pressure stall information)
  bool metered = false;                    // its network is paid for by the byte

  bool operator==(const DeviceHealth&) const = default;
};

// `file`: one JSON object, as `termux-battery-status` prints it: "percentage" (0 to 100), "plugged"
// ("UNPLUGGED": on battery) or "status" ("DISCHARGING"), "temperature" of the battery in degrees
// Celsius; beside these "celsius" of the processor and "metered" (true or false). What it says
// counts before what the system says. Empty: there is none. A file that cannot be read or is no
// such object says nothing: it may be about to be written.
DeviceHealth read_health(const SystemFiles& files, const std::string& file);

// The device's memory at present, but for `resident`: what the system says of itself and of the
// groups around this process, and how long programs wait for memory (/proc/pressure/memory, where
// the kernel has it). The owner's file may say "memory_total", "memory_available" (bytes) and
// "memory_stall" (percent) instead.
MemoryState read_memory(const SystemFiles& files, const std::string& file);

}  // namespace potluck
