// The flags of `join` that say what its owner allows a worker to take: processor time, battery,
// heat, hours. Plain values.
#pragma once

#include <string>

#include "coordinator/cli/cli11_fwd.h"
#include "worker/health_watch.h"

namespace potluck {

struct HealthFlags {
  uint32_t max_cpu = 100;
  uint32_t min_battery = HealthLimits{}.min_battery;
  uint32_t max_celsius = static_cast<uint32_t>(HealthLimits{}.max_celsius);
  std::string quiet_hours;
  std::string file;
  bool use_metered = false;
  bool ignored = false;
};

void add_health_flags(CLI::App* parser, HealthFlags* flags);

// Errors name the flag, what is allowed and what was found.
Result<HealthOptions> health_options(const HealthFlags& flags);

// "22:00-07:30", local time.
Result<QuietHours> parse_quiet_hours(const std::string& text);

}  // namespace potluck
