#include "engine/base/memory_limit.h"

#include <charconv>
#include <fstream>

#include "engine/base/bytes.h"

namespace potluck {
namespace {

constexpr size_t kMostBytes = 64 * kKiB;

class RealFiles final : public SystemFiles {
 public:
  std::optional<std::string> read(const std::string& path) const override {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    std::string content(kMostBytes, '\0');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<size_t>(file.gcount()));
    return content;
  }
};

// The number at the start of a text; nothing for "max" and what else is not one.
std::optional<uint64_t> number(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  uint64_t value = 0;
  auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc()) return std::nullopt;
  return value;
}

// The number after `key` at the start of a line.
std::optional<uint64_t> field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    if (text.starts_with(key)) return number(text.substr(key.size()));
    size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return std::nullopt;
}

void consider(AvailableMemory* found, uint64_t bytes, const std::string& source) {
  if (bytes < found->bytes) *found = {bytes, source};
}

// What the two versions of control groups call the same things.
struct GroupFiles {
  const char* root;
  const char* limit;
  const char* usage;
  const char* droppable;  // in memory.stat
};
constexpr GroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                  "memory.usage_in_bytes", "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                  "inactive_file"};

void consider_group(const SystemFiles& files, const GroupFiles& names, const std::string& folder,
                    AvailableMemory* found) {
  std::string path = folder + "/" + names.limit;
  auto limit = number(files.read(path).value_or(""));
  auto usage = number(files.read(folder + "/" + names.usage).value_or(""));
  if (!limit || !usage) return;
  std::string statistics = files.read(folder + "/memory.stat").value_or("");
  uint64_t droppable = std::min(*usage, field(statistics, names.droppable).value_or(0));
  uint64_t used = *usage - droppable;
  consider(found, *limit > used ? *limit - used : 0, path);
}

// The group and all above it. In a container the path may be one of the host, of which only the
// root is visible: it comes last.
void consider_groups(const SystemFiles& files, const GroupFiles& names, std::string group,
                     AvailableMemory* found) {
  while (group.ends_with('/')) group.pop_back();
  for (;;) {
    consider_group(files, names, names.root + group, found);
    if (group.empty()) return;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

// Of a line "number:controllers:/path": the path, if it is about memory.
void consider_line(const SystemFiles& files, std::string_view line, AvailableMemory* found) {
  size_t first = line.find(':');
  if (first == std::string_view::npos) return;
  size_t second = line.find(':', first + 1);
  if (second == std::string_view::npos) return;
  std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
  std::string path(line.substr(second + 1));
  if (controllers == ",,") consider_groups(files, kVersion2, path, found);
  if (controllers.find(",memory,") != std::string::npos) {
    consider_groups(files, kVersion1, path, found);
  }
}

}  // namespace

const SystemFiles& system_files() {
  static const RealFiles files;
  return files;
}

AvailableMemory available_memory(const SystemFiles& files) {
  AvailableMemory found;
  std::string path = "/proc/meminfo";
  if (auto kib = field(files.read(path).value_or(""), "MemAvailable:")) {
    consider(&found, *kib * kKiB, path);
  }
  std::string groups = files.read("/proc/self/cgroup").value_or("");
  for (size_t begin = 0; begin < groups.size();) {
    size_t end = std::min(groups.find('\n', begin), groups.size());
    consider_line(files, std::string_view(groups).substr(begin, end - begin), &found);
    begin = end + 1;
  }
  return found;
}

}  // namespace potluck
