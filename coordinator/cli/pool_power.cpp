#include "coordinator/cli/pool_power.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/json_text.h"

namespace potluck {

std::optional<PoolPower> pool_power(std::span<const DeviceView> devices, double tokens_per_second) {
  PoolPower power;
  for (const DeviceView& device : devices) {
    const uint32_t milliwatts = device.record.health.use.milliwatts;
    if (milliwatts == 0) continue;
    power.watts += milliwatts / 1e3;
    ++power.devices;
  }
  if (power.devices == 0) return std::nullopt;
  if (tokens_per_second > 0) power.joules_per_token = power.watts / tokens_per_second;
  return power;
}

nlohmann::json describe_power(const std::optional<PoolPower>& power) {
  if (!power) return nullptr;
  nlohmann::json described = {
      {"watts", power->watts}, {"devices", power->devices}, {"joules_per_token", nullptr}};
  if (power->joules_per_token) described["joules_per_token"] = *power->joules_per_token;
  return described;
}

std::optional<PoolPower> power_of_json(const nlohmann::json& document) {
  PoolPower power;
  power.watts = decimal_field(document, "watts");
  power.devices = static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, "devices")));
  if (!(power.watts > 0) || power.devices == 0) return std::nullopt;
  const double joules = decimal_field(document, "joules_per_token");
  if (joules > 0) power.joules_per_token = joules;
  return power;
}

std::string power_words(const std::optional<PoolPower>& power, size_t devices) {
  if (!power) return {};
  std::string words =
      fmt::format(", {} of {} devices take {:.1f} W", power->devices, devices, power->watts);
  if (power->joules_per_token) words += fmt::format(", {:.2g} J a token", *power->joules_per_token);
  return words;
}

}  // namespace potluck
