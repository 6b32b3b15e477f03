#include "engine/base/system_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <sys/sysinfo.h>

#include "engine/base/bytes.h"

namespace potluck {
namespace {

constexpr size_t kMostBytes = 1 * kMiB;
constexpr size_t kMostNames = 4096;
constexpr const char* kMemoryFile = "/proc/meminfo";

class RealFiles final : public SystemFiles {
 public:
  std::optional<std::string> read(const std::string& path) const override {
    std::ifstream file(path, std::ios::binary);
    if (!file) return path == kMemoryFile ? without_proc() : std::nullopt;
    // Files of /proc report a size of 0: read until they end, or as much as is sensible.
    std::string content(kMostBytes, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<size_t>(file.gcount()));
    return content;
  }

  std::vector<std::string> list(const std::string& path) const override {
    std::vector<std::string> names;
    std::error_code failure;  // an iterator that failed is at its end
    std::filesystem::directory_iterator entry(path, failure);
    for (; entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
      if (failure || names.size() == kMostNames) break;
      names.push_back(entry->path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  // Where /proc is not mounted, sysinfo() still gives the two figures that matter.
  static std::optional<std::string> without_proc() {
    struct sysinfo info = {};
    if (sysinfo(&info) != 0) return std::nullopt;
    uint64_t unit = info.mem_unit;
    return fmt::format("MemTotal: {} kB\nMemAvailable: {} kB\n", info.totalram * unit / kKiB,
                       (info.freeram + info.bufferram) * unit / kKiB);
  }
};

}  // namespace

const SystemFiles& system_files() {
  static const RealFiles files;
  return files;
}

}  // namespace potluck
