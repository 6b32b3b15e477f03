// SampleFiles: the system's small text files as a test wants them.
#pragma once

#include <map>
#include <set>

#include "engine/base/system_files.h"

namespace potluck::test {

class SampleFiles final : public SystemFiles {
 public:
  std::map<std::string, std::string> files;

  std::optional<std::string> read(const std::string& path) const override {
    auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<std::string> list(const std::string& path) const override {
    std::set<std::string> names;
    for (const auto& [file, content] : files) {
      if (file.rfind(path + "/", 0) != 0) continue;
      const std::string below = file.substr(path.size() + 1);
      names.insert(below.substr(0, below.find('/')));
    }
    return {names.begin(), names.end()};
  }
};

}  // namespace potluck::test
