// Which process a number means: numbers of processes are used again, the moment of their start is
// not. Reads /proc through a seam. Any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/base/process_limits.h"

namespace potluck {

// When a living process was started, in the system's own units since it was; nothing if there is no
// such process. Together with its number it names a process until the machine starts anew.
std::optional<uint64_t> process_start(const SystemFiles& files, int64_t process);

}  // namespace potluck
