#include "coordinator/cli/health_flags.h"

#include <fmt/format.h>

#include "coordinator/cli/flags.h"

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
  add_whole(parser, "--min-battery", &flags->min_battery, {0, 100},
            fmt::format("percent of charge below which it does no work on battery (default {})",
                        HealthLimits{}.min_battery))
      .envname("POTLUCK_MIN_BATTERY")
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

Result<HealthOptions> health_options(const HealthFlags& flags) {
  HealthOptions options;
  options.watched = !flags.ignored;
  options.limits.max_cpu = static_cast<uint8_t>(flags.max_cpu);
  options.limits.min_battery = static_cast<uint8_t>(flags.min_battery);
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
