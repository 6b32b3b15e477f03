// Everything here is a minimum over what was found: each source may lower a bound and name itself
// as the reason, none may raise it. What cannot be read or parsed bounds nothing.
#include "engine/base/process_limits.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr size_t kLongestGroup = 4096;            // characters; no path of the system is longer
constexpr uint64_t kNoLimit = uint64_t{1} << 62;  // version 1 says 2^63 less a page
constexpr const char* kMemoryInformation = "/proc/meminfo";

uint64_t saturated_product(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

// The number at the start of a text; nothing for "max", "-1" and other texts, so these are alike
// with a missing file: no limit. Beyond 64 bits it is the largest number.
std::optional<uint64_t> number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t value = 0;
  auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::result_out_of_range) return UINT64_MAX;
  if (failure != std::errc()) return std::nullopt;
  return value;
}

// Calls use(line) for every line.
template <class Use>
void for_lines(std::string_view text, const Use& use) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// What follows `key` at the start of a line.
std::optional<std::string_view> text_field(std::string_view text, std::string_view key) {
  std::optional<std::string_view> found;
  for_lines(text, [&](std::string_view line) {
    if (!found && line.starts_with(key)) found = line.substr(key.size());
  });
  return found;
}

std::optional<uint64_t> field(std::string_view text, std::string_view key) {
  std::optional<std::string_view> found = text_field(text, key);
  return found ? number(*found) : std::nullopt;
}

std::optional<uint64_t> kibibytes(std::string_view text, std::string_view key) {
  std::optional<uint64_t> found = field(text, key);
  if (found) found = saturated_product(*found, kKiB);
  return found;
}

bool lists(std::string_view controllers, std::string_view name) {
  auto parts = split(controllers, ',');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

// Where a hierarchy of control groups is mounted, and which of its groups is visible there.
struct Mount {
  std::string root;
  std::string point;
};

// proc(5): paths in mountinfo have blanks, tabs, newlines and backslashes as \ooo, in octal.
std::string unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    const char* digits = text.data() + i + 1;
    bool octal = text[i] == '\\' && text.size() - i > 3 &&
                 std::from_chars(digits, digits + 3, value, 8).ptr == digits + 3 && value < 256;
    result += octal ? static_cast<char>(value) : text[i];
    if (octal) i += 3;
  }
  return result;
}

// The mounts of the hierarchy of `controller`, or of version 2 if that is empty. If the list of
// mounts does not say, the usual place.
std::vector<Mount> mounts_of(std::string_view mountinfo, const std::string& controller) {
  std::vector<Mount> mounts;
  for_lines(mountinfo, [&](std::string_view line) {
    size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return;
    auto before = split(line.substr(0, dash), ' ');
    auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) return;
    bool wanted = controller.empty() ? after[0] == "cgroup2"
                                     : after[0] == "cgroup" && lists(after[2], controller);
    if (wanted) mounts.push_back({unescaped(before[3]), unescaped(before[4])});
  });
  if (!mounts.empty()) return mounts;
  return {{"/", controller.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller}};
}

// The folder of a group below a mount. In a container the group may be named as the host sees it,
// and lie beyond what is mounted: then only the mount itself is known. A group outside of the
// namespace of control groups shows as "/../name" (cgroup_namespaces(7)).
std::string folder_of(const Mount& mount, std::string_view group) {
  std::string_view root = mount.root == "/" ? std::string_view() : std::string_view(mount.root);
  bool below = group.starts_with(root) &&
               (group.size() == root.size() || group[root.size()] == '/') &&
               group.find("/..") == std::string_view::npos && group.size() <= kLongestGroup;
  std::string folder = mount.point + std::string(below ? group.substr(root.size()) : "");
  while (folder.size() > mount.point.size() && folder.ends_with('/')) folder.pop_back();
  return folder;
}

// Reads the limits of every control group around the process.
class GroupWalk {
 public:
  GroupWalk(const SystemFiles& files, ProcessLimits* found) : files_(files), found_(found) {}

  void run() {
    std::string groups = read("/proc/self/cgroup");
    std::string mountinfo = read("/proc/self/mountinfo");
    for_lines(groups, [&](std::string_view line) { visit(line, mountinfo); });
  }

 private:
  std::string read(const std::string& path) const { return files_.read(path).value_or(""); }

  // A line "number:controllers:/path".
  void visit(std::string_view line, std::string_view mountinfo) {
    size_t first = line.find(':');
    size_t second = line.find(':', std::min(first, line.size() - 1) + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string_view group = line.substr(second + 1);
    using Look = void (GroupWalk::*)(const std::string&);
    auto walk = [&](const std::string& controller, Look look) {
      for (const Mount& mount : mounts_of(mountinfo, controller)) climb(mount, group, look);
    };
    if (controllers.empty()) walk("", &GroupWalk::look_at_version2);
    if (lists(controllers, "memory")) walk("memory", &GroupWalk::look_at_memory);
    if (lists(controllers, "cpu")) walk("cpu", &GroupWalk::look_at_quota);
  }

  // The group and all above it: a limit of any ancestor holds for the process too.
  void climb(const Mount& mount, std::string_view group,
             void (GroupWalk::*look)(const std::string&)) {
    std::string folder = folder_of(mount, group);
    for (;;) {
      (this->*look)(folder);
      if (folder.size() <= mount.point.size()) return;
      folder.resize(std::max(folder.rfind('/'), mount.point.size()));
    }
  }

  void look_at_version2(const std::string& folder) {
    std::string statistics = read(folder + "/memory.stat");
    uint64_t used = in_use(folder + "/memory.current", statistics, "");
    // Beyond memory.high the kernel does not kill but reclaims and stalls the process, which is as
    // bad for a program that plans its memory.
    for (const char* name : {"/memory.max", "/memory.high"}) consider(folder + name, used);
    std::string path = folder + "/cpu.max";  // "quota period", or "max period"
    std::string text = read(path);
    consider_quota(number(text),
                   number(std::string_view(text).substr(std::min(text.find(' '), text.size()))),
                   path);
  }

  void look_at_memory(const std::string& folder) {
    std::string statistics = read(folder + "/memory.stat");
    // In version 1 the plain fields are of this group alone; "total_" includes those below it.
    uint64_t used = in_use(folder + "/memory.usage_in_bytes", statistics, "total_");
    consider(folder + "/memory.limit_in_bytes", used);
    // The smallest limit of this group and all its ancestors, including those that a container
    // cannot see.
    auto hidden = field(statistics, "hierarchical_memory_limit ");
    if (hidden) consider_bytes(*hidden, used, folder + "/memory.stat");
  }

  void look_at_quota(const std::string& folder) {
    std::string path = folder + "/cpu.cfs_quota_us";
    consider_quota(number(read(path)), number(read(folder + "/cpu.cfs_period_us")), path);
  }

  // Usage less the page cache that the kernel drops before it refuses memory. Without that, a
  // process that has just read a model file would seem to have nothing left. Mapped files, such as
  // programs, and memory file systems stay counted.
  uint64_t in_use(const std::string& path, std::string_view statistics, const std::string& prefix) {
    uint64_t usage = number(read(path)).value_or(0);
    auto value = [&](const char* name) {
      return field(statistics, prefix + name + " ").value_or(0);
    };
    uint64_t active = value("active_file");
    const char* mapped = prefix.empty() ? "file_mapped" : "mapped_file";
    active -= std::min(active, value(mapped));
    uint64_t inactive = value("inactive_file");
    usage -= std::min(usage, inactive);
    return usage - std::min(usage, active);
  }

  void consider(const std::string& path, uint64_t used) {
    if (auto limit = number(read(path))) consider_bytes(*limit, used, path);
  }

  void consider_bytes(uint64_t limit, uint64_t used, const std::string& source) {
    if (limit >= kNoLimit) return;
    if (limit < found_->total.bytes) found_->total = {limit, source};
    uint64_t left = limit > used ? limit - used : 0;
    if (left < found_->available.bytes) found_->available = {left, source};
  }

  void consider_quota(std::optional<uint64_t> quota, std::optional<uint64_t> period,
                      const std::string& source) {
    constexpr uint64_t kUsualPeriod = 100'000;
    if (!quota || *quota == 0) return;
    uint64_t divisor = std::max<uint64_t>(period.value_or(kUsualPeriod), 1);
    // Rounded up: the last thread of a quota of 1.5 processors is worth half a thread, which beats
    // none.
    uint64_t worth = *quota / divisor + (*quota % divisor > 0 ? 1 : 0);
    if (found_->processors.count != 0 && worth >= found_->processors.count) return;
    found_->processors = {static_cast<uint32_t>(std::min<uint64_t>(worth, UINT32_MAX)), source};
  }

  const SystemFiles& files_;
  ProcessLimits* found_;
};

void consider(MemoryBound* bound, std::optional<uint64_t> bytes, const std::string& source) {
  if (bytes && *bytes < bound->bytes) *bound = {*bytes, source};
}

uint64_t difference(uint64_t from, uint64_t taken) {
  return from - std::min(from, taken);
}

void consider_machine(const SystemFiles& files, ProcessLimits* found) {
  std::string memory = files.read(kMemoryInformation).value_or("");
  consider(&found->total, kibibytes(memory, "MemTotal:"), kMemoryInformation);
  consider(&found->available, kibibytes(memory, "MemAvailable:"), kMemoryInformation);
  // Only with overcommit_memory 2 does the kernel refuse what is beyond its commit limit; otherwise
  // the figure means nothing.
  const std::string policy = "/proc/sys/vm/overcommit_memory";
  if (number(files.read(policy).value_or("")) != 2) return;
  auto limit = kibibytes(memory, "CommitLimit:");
  auto committed = kibibytes(memory, "Committed_AS:");
  if (!limit || !committed) return;
  consider(&found->total, *limit, policy);
  consider(&found->available, difference(*limit, *committed), policy);
}

void consider_resource_limits(const SystemFiles& files, ProcessLimits* found) {
  struct Resource {
    const char* limit;
    const char* usage;
    const char* source;
  };
  // The first number behind the name is the soft limit, which is what the kernel enforces.
  constexpr Resource kResources[] = {{"Max address space", "VmSize:", kAddressSpaceLimit},
                                     {"Max data size", "VmData:", "ulimit -d"}};
  std::string limits = files.read("/proc/self/limits").value_or("");
  std::string status = files.read("/proc/self/status").value_or("");
  for (const Resource& resource : kResources) {
    auto limit = field(limits, resource.limit);
    if (!limit) continue;
    consider(&found->total, *limit, resource.source);
    uint64_t used = kibibytes(status, resource.usage).value_or(0);
    consider(&found->available, difference(*limit, used), resource.source);
  }
}

// How many numbers a list such as "0-3,8" names.
uint32_t count_listed(std::string_view list) {
  uint64_t count = 0;
  for (std::string_view part : split(list, ',')) {
    auto first = number(part);
    if (!first) continue;
    size_t dash = part.find('-');
    auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (last && *last >= *first) count += std::min<uint64_t>(*last - *first, UINT32_MAX) + 1;
    count = std::min<uint64_t>(count, UINT32_MAX);
  }
  return static_cast<uint32_t>(count);
}

void consider_affinity(const SystemFiles& files, ProcessLimits* found) {
  std::string status = files.read("/proc/self/status").value_or("");
  uint32_t count = count_listed(text_field(status, "Cpus_allowed_list:").value_or(""));
  if (count > 0) found->processors = {count, "Cpus_allowed_list in /proc/self/status"};
}

}  // namespace

ProcessLimits process_limits(const SystemFiles& files) {
  ProcessLimits found;
  consider_machine(files, &found);
  consider_resource_limits(files, &found);
  consider_affinity(files, &found);
  GroupWalk(files, &found).run();
  return found;
}

int default_threads(const ProcessLimits& limits) {
  uint32_t count = limits.processors.count;
  if (count == 0) count = std::thread::hardware_concurrency();
  return static_cast<int>(std::clamp<uint32_t>(count, 1, limits::kThreads));
}

uint64_t default_lent_memory(const ProcessLimits& limits) {
  if (limits.total.source.empty()) return 0;
  return std::min(limits.total.bytes / 2, limits.available.bytes / 4 * 3);
}

}  // namespace potluck
