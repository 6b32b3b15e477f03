#include "engine/base/processor_choice.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/printable.h"

namespace potluck {
namespace {

constexpr const char* kProcessors = "/sys/devices/system/cpu";
constexpr const char* kBigList = "/sys/devices/cpu_core/cpus";
constexpr const char* kLittleList = "/sys/devices/cpu_atom/cpus";
constexpr double kLittle = 0.7;  // of the largest figure
constexpr uint32_t kMostProcessors = CPU_SETSIZE;
constexpr int kLeastPriority = 19;

std::optional<uint64_t> whole_line(std::string_view text) {
  uint64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest = text.substr(static_cast<size_t>(end - text.data()));
  const bool good = failure == std::errc() && (rest.empty() || rest == "\n");
  return good ? std::optional(value) : std::nullopt;
}

// "cpu12", and not "cpufreq".
std::optional<uint32_t> processor_of(std::string_view name) {
  if (!name.starts_with("cpu")) return std::nullopt;
  const auto value = whole_line(name.substr(3));
  if (!value || *value >= kMostProcessors) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

using Figures = std::map<uint32_t, uint64_t>;  // by processor

// Of every processor that has the file; nothing if one of them lacks it.
Figures figures_in(const SystemFiles& files, const char* file) {
  Figures figures;
  for (const std::string& name : files.list(kProcessors)) {
    const auto processor = processor_of(name);
    if (!processor) continue;
    const auto text = files.read(fmt::format("{}/{}/{}", kProcessors, name, file));
    const auto value = text ? whole_line(*text) : std::nullopt;
    if (!value) return {};
    figures[*processor] = *value;
  }
  return figures;
}

// "0-3,8".
std::vector<uint32_t> listed(const SystemFiles& files, const char* path) {
  std::vector<uint32_t> cores;
  const std::string text = files.read(path).value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t dash = part.find('-');
    const auto first = whole_line(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_line(part.substr(dash + 1));
    if (!first || !last || *last >= kMostProcessors) return {};
    for (uint64_t core = *first; core <= *last; ++core) {
      cores.push_back(static_cast<uint32_t>(core));
    }
  }
  return cores;
}

std::vector<uint32_t> chosen_of(const Figures& figures, CoreKind kind) {
  uint64_t largest = 0;
  for (const auto& [core, figure] : figures) largest = std::max(largest, figure);
  std::vector<uint32_t> cores;
  for (const auto& [core, figure] : figures) {
    const bool little = static_cast<double>(figure) < kLittle * static_cast<double>(largest);
    if (little == (kind == CoreKind::kLittle)) cores.push_back(core);
  }
  return cores;
}

}  // namespace

Result<CoreKind> parse_core_kind(const std::string& flag, std::string_view text) {
  if (text == "all") return CoreKind::kAll;
  if (text == "big") return CoreKind::kBig;
  if (text == "little") return CoreKind::kLittle;
  return Error{ErrorCode::kInvalidArgument, fmt::format("{} {}: expected all, big or little", flag,
                                                        printable(std::string(text)))};
}

CoreChoice choose_cores(const SystemFiles& files, CoreKind kind) {
  if (kind == CoreKind::kAll) return {{}, "all were asked for"};
  struct Source {
    const char* file;
    const char* name;
  };
  constexpr Source kCapacity{"cpu_capacity", "capacity"};
  constexpr Source kFrequency{"cpufreq/cpuinfo_max_freq", "highest frequency"};
  auto by = [&](const Source& source) -> std::optional<CoreChoice> {
    const Figures figures = figures_in(files, source.file);
    std::vector<uint32_t> cores = chosen_of(figures, kind);
    if (cores.empty() || cores.size() == figures.size()) return std::nullopt;
    return CoreChoice{std::move(cores), fmt::format("by their {}", source.name)};
  };
  if (auto choice = by(kCapacity)) return *choice;
  const std::vector<uint32_t> big = listed(files, kBigList);
  const std::vector<uint32_t> little = listed(files, kLittleList);
  if (!big.empty() && !little.empty()) {
    return {kind == CoreKind::kBig ? big : little, "as the kernel lists them"};
  }
  if (auto choice = by(kFrequency)) return *choice;
  const bool any =
      !figures_in(files, kCapacity.file).empty() || !figures_in(files, kFrequency.file).empty();
  return {{}, any ? "all cores are alike" : "the kernel does not tell cores apart"};
}

Status stay_on(const std::vector<uint32_t>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t core : cores) {
    if (core < kMostProcessors) CPU_SET(core, &set);
  }
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return Error{ErrorCode::kUnsupported, fmt::format("the system does not let it choose its cores: "
                                                    "{}",
                                                    std::strerror(errno))};
}

std::string stand_back() {
  std::string refused;
  auto note = [&](const char* what) {
    refused += fmt::format("{}{}: {}", refused.empty() ? "" : "; ", what, std::strerror(errno));
  };
  // Of Linux, a thread of its own counts as a process here.
  if (setpriority(PRIO_PROCESS, 0, kLeastPriority) != 0) note("processor");
  constexpr int kThisThread = 1;  // IOPRIO_WHO_PROCESS, ioprio_set(2)
  constexpr int kIdle = 3 << 13;  // IOPRIO_CLASS_IDLE
  if (syscall(SYS_ioprio_set, kThisThread, 0, kIdle) != 0) note("disk");
  return refused;
}

}  // namespace potluck
