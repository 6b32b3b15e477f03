// The flags of `join` that say what its owner allows a worker to take: processor time, battery,
// heat, hours. Plain values.
#pragma once

#include <string>

#include "coordinator/cli/cli11_fwd.h"
#include "worker/health_watch.h"

namespace potluck {

struct HealthFlags {
  uint32_t max_cpu = 100;
  std::string battery_floor;
  std::string pause_above;
  bool only_when_charging = false;
  uint32_t max_celsius = static_cast<uint32_t>(HealthLimits{}.max_celsius);
  std::string quiet_hours;
  std::string file;
  std::string cores = "all";
  bool background = false;
  bool use_metered = false;
  bool ignored = false;
};

void add_health_flags(CLI::App* parser, HealthFlags* flags);

// Errors name the flag, what is allowed and what was found.
Result<HealthOptions> health_options(const HealthFlags& flags);

// Does as --background and --cores say, for the calling thread and those that it starts. Returns
// sentences for people: what is in effect, and what the system does not let it do.
Result<std::vector<std::string>> take_less(const HealthFlags& flags, const SystemFiles& system);

// "22:00-07:30", local time.
Result<QuietHours> parse_quiet_hours(const std::string& text);

}  // namespace potluck
