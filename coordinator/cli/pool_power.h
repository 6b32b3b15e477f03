// What the devices of a pool take in power, as far as they tell, and what that comes to for a
// token. Pure functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>

#include "coordinator/dispatch/pool_view.h"

namespace potluck {

struct PoolPower {
  double watts = 0;
  uint64_t devices = 0;                    // that tell theirs
  std::optional<double> joules_per_token;  // nothing while no tokens are written
};

// Nothing where no device tells. The coordinator's own power is not in it.
std::optional<PoolPower> pool_power(std::span<const DeviceView> devices, double tokens_per_second);

// As the member "power" of reports: null where no device tells.
nlohmann::json describe_power(const std::optional<PoolPower>& power);
// The same back; nothing of what makes no sense.
std::optional<PoolPower> power_of_json(const nlohmann::json& document);
// As the end of a sentence, with how many of all `devices` tell; empty where none does.
std::string power_words(const std::optional<PoolPower>& power, size_t devices);

}  // namespace potluck
