#include "coordinator/cli/health_flags.h"

#include <fmt/format.h>

#include "coordinator/cli/flags.h"
#include "engine/base/processor_choice.h"

namespace potluck {
namespace {

constexpr uint32_t kMinutesOfADay = 24 * 60;

constexpr uint32_t kNoTime = kMinutesOfADay;
constexpr size_t kTimeCharacters = 5;

// The minute that "HH:MM" names; kNoTime for other texts. 24:00 is the beginning of a day.
uint32_t minute_of_day(std::string_view text) {
  if (text.size() != kTimeCharacters || text[2] != ':') return kNoTime;
  auto digit = [&](size_t at) {
    return text[at] >= '0' && text[at] <= '9' ? static_cast<uint32_t>(text[at] - '0') : kNoTime;
  };
  const uint32_t hours = digit(0) * 10 + digit(1);
  const uint32_t minutes = digit(3) * 10 + digit(4);
  if (minutes >= 60 || hours * 60 + minutes > kMinutesOfADay) return kNoTime;
  return (hours * 60 + minutes) % kMinutesOfADay;
}

}  // namespace

Result<QuietHours> parse_quiet_hours(const std::string& text) {
  QuietHours hours{kNoTime, kNoTime};
  if (text.size() == 2 * kTimeCharacters + 1 && text[kTimeCharacters] == '-') {
    hours.begin = minute_of_day(std::string_view(text).substr(0, kTimeCharacters));
    hours.end = minute_of_day(std::string_view(text).substr(kTimeCharacters + 1));
  }
  if (hours.begin == kNoTime || hours.end == kNoTime || hours.begin == hours.end) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--quiet-hours {}: expected two different times of day, such as "
                             "22:00-07:30",
                             text)};
  }
  return hours;
}

void add_health_flags(CLI::App* parser, HealthFlags* flags) {
  const char* group = "How much it takes from this device";
  add_whole(parser, "--max-cpu", &flags->max_cpu, {1, 100},
            "percent of the time that it computes at most, on each of its threads (default 100)")
      .envname("POTLUCK_MAX_CPU")
      .group(group);
  add_switch(parser, "--only-when-charging", &flags->only_when_charging,
             "no work while the device runs on its battery")
      .group(group);
  add_percent(parser, "--battery-floor", &flags->battery_floor,
              fmt::format("charge below which it does no work on battery, such as 40% (default "
                          "{}%)",
                          HealthLimits{}.battery_floor))
      .envname("POTLUCK_BATTERY_FLOOR")
      .group(group);
  add_celsius(parser, "--pause-above", &flags->pause_above,
              fmt::format("temperature of the battery above which it does no work, such as 42C "
                          "(default {}C); of the processor where no battery says how warm it is",
                          HealthLimits{}.pause_above))
      .envname("POTLUCK_PAUSE_ABOVE")
      .group(group);
  add_whole(parser, "--max-temp", &flags->max_celsius, {1, 120},
            fmt::format("degrees Celsius of the processor above which it does little work, and 5 "
                        "degrees later none (default {})",
                        HealthLimits{}.max_celsius))
      .envname("POTLUCK_MAX_TEMP")
      .group(group);
  add_text(parser, "--quiet-hours", &flags->quiet_hours,
           "no work between two times of day, local time, such as 22:00-07:30")
      .envname("POTLUCK_QUIET_HOURS")
      .group(group);
  add_switch(parser, "--background", &flags->background,
             "take of processor and disk what other programs leave")
      .group(group);
  add_choice(parser, "--cores", &flags->cores, {"all", "big", "little"},
             "which cores compute, where the kernel tells them apart: the little ones take less "
             "power, the big ones less time (default all)")
      .envname("POTLUCK_CORES")
      .group(group);
  add_switch(parser, "--use-metered", &flags->use_metered,
             "work also while the network is said to be paid for by the byte")
      .group(group);
  add_text(parser, "--health-file", &flags->file,
           "what the system does not say of battery, heat and network: a file of JSON as "
           "termux-battery-status prints it")
      .envname("POTLUCK_HEALTH_FILE")
      .group(group);
  add_switch(parser, "--ignore-health", &flags->ignored,
             "full speed in whatever condition the device is (--max-cpu still holds)")
      .group(group);
}

Result<std::vector<std::string>> take_less(const HealthFlags& flags, const SystemFiles& system) {
  std::vector<std::string> said;
  Result<CoreKind> kind = parse_core_kind("--cores", flags.cores);
  if (!kind) return kind.error();
  if (*kind != CoreKind::kAll) {
    const CoreChoice choice = choose_cores(system, *kind);
    Status chosen = choice.cores.empty() ? Status() : stay_on(choice.cores);
    if (choice.cores.empty()) {
      said.push_back(fmt::format("--cores {}: {}, so all are used", flags.cores, choice.reason));
    } else if (!chosen) {
      said.push_back(fmt::format("--cores {}: {}", flags.cores, chosen.error().message));
    } else {
      said.push_back(fmt::format("computes on {} {} cores: {} ({})", choice.cores.size(),
                                 flags.cores, fmt::join(choice.cores, ", "), choice.reason));
    }
  }
  if (!flags.background) return said;
  const std::string refused = stand_back();
  said.push_back(refused.empty() ? "stands back behind other programs"
                                 : "--background: the system refuses a part of it: " + refused);
  return said;
}

Result<HealthOptions> health_options(const HealthFlags& flags) {
  HealthOptions options;
  options.watched = !flags.ignored;
  options.limits.max_cpu = static_cast<uint8_t>(flags.max_cpu);
  options.limits.only_when_charging = flags.only_when_charging;
  if (!flags.battery_floor.empty()) {
    Result<uint64_t> percent = read_percent(flags.battery_floor);
    if (!percent) return percent.error().in("--battery-floor");
    options.limits.battery_floor = static_cast<uint8_t>(*percent);
  }
  if (!flags.pause_above.empty()) {
    Result<uint64_t> celsius = read_celsius(flags.pause_above);
    if (!celsius) return celsius.error().in("--pause-above");
    options.limits.pause_above = static_cast<int32_t>(*celsius);
    options.limits.names_pause_above = true;
  }
  options.limits.max_celsius = static_cast<int32_t>(flags.max_celsius);
  options.limits.use_metered = flags.use_metered;
  options.file = flags.file;
  if (flags.quiet_hours.empty()) return options;
  Result<QuietHours> quiet = parse_quiet_hours(flags.quiet_hours);
  if (!quiet) return quiet.error();
  options.limits.quiet = *quiet;
  return options;
}

}  // namespace potluck
