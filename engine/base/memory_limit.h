// How much memory this process can still take: what the system calls available, and what the
// control groups (versions 1 and 2) it lives in leave. A pure function of a few small text files,
// which come through a seam. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace potluck {

// Reads files that have no size of their own, such as those of /proc.
class SystemFiles {
 public:
  virtual ~SystemFiles() = default;
  // The content, cut off at 64 KiB; nothing if the file cannot be read.
  virtual std::optional<std::string> read(const std::string& path) const = 0;
};

const SystemFiles& system_files();

struct AvailableMemory {
  uint64_t bytes = UINT64_MAX;  // UINT64_MAX: nothing was found that limits it
  std::string source;           // the file that says so
};

// The smallest of MemAvailable in /proc/meminfo and, for every memory control group from the
// process's own up to the root, limit - usage + file pages that can be dropped.
AvailableMemory available_memory(const SystemFiles& files);

}  // namespace potluck
