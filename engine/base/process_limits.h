// What this process may use: memory and processors, each with what bounds it. The one place that
// knows; every default asks it. It weighs the machine, all control groups around the process
// (versions 1 and 2, wherever they are mounted) and the resource limits of ulimit and prlimit. A
// pure function of a few small text files, which come through a seam. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/system_files.h"

namespace potluck {

inline constexpr const char* kAddressSpaceLimit = "ulimit -v";

struct MemoryBound {
  uint64_t bytes = UINT64_MAX;  // UINT64_MAX: nothing was found that bounds it
  std::string source;           // what bounds it, for people: a file, or "ulimit -v"
};

struct ProcessorBound {
  uint32_t count = 0;  // 0: nothing was found
  std::string source;
};

struct ProcessLimits {
  MemoryBound total;      // what the process could have if it and its groups used nothing
  MemoryBound available;  // what it can still take now
  ProcessorBound processors;
};

// Memory: the machine's, that of every group from the process's own up to the root, address space
// and data segment of the resource limits, and the commit limit where the system keeps to it. Pages
// of files that a group has read and can drop count as available. Processors: those it may run on
// (sched_setaffinity and cpusets), or what the quota of every group is worth, rounded up.
ProcessLimits process_limits(const SystemFiles& files);

// Threads when the user gave no number: one per usable processor, within limits::kThreads.
int default_threads(const ProcessLimits& limits);

// Memory that a device lends to a pool when the user gave no size: half of what the process
// could have, so that the device stays usable, and no more than three quarters of what is available
// now. 0 where nothing is known.
uint64_t default_lent_memory(const ProcessLimits& limits);

}  // namespace potluck
