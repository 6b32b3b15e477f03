// SystemFiles: the small text files in which the system says something about itself and this
// process
// (/proc, /sys), behind a seam. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace potluck {

class SystemFiles {
 public:
  virtual ~SystemFiles() = default;
  // The content, cut off at 1 MiB; nothing if the file cannot be read. Also of files that have no
  // size of their own.
  virtual std::optional<std::string> read(const std::string& path) const = 0;
  // The names in a directory, sorted; none if it cannot be read, and 4,096 at most.
  virtual std::vector<std::string> list(const std::string& path) const = 0;
};

const SystemFiles& system_files();

}  // namespace potluck
