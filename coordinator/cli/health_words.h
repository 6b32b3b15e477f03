// A device's condition in words: the same for a plain status, the table of devices and the worker's
// own screen. Pure functions; any thread.
#pragma once

#include <string>

#include "coordinator/dispatch/pool_view.h"

namespace potluck {

// That it pauses or lends less, and why; empty where it lends all.
std::string lending_words(const WorkerHealth& health);
// That it has less memory at present than it offered; empty where it has all.
std::string memory_words(const DeviceUse& use, uint64_t ram_bytes);
// What it has written, and what power it takes; empty where it says neither.
std::string use_words(const DeviceUse& use);
}  // namespace potluck
