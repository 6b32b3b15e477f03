#include "simulator/device_body.h"

#include <fmt/format.h>

namespace potluck::sim {
namespace {

constexpr const char* kSupplies = "/sys/class/power_supply";
constexpr double kChargingRate = 4;  // times as fast as it empties

}  // namespace

double DeviceBody::percent() const {
  if (!has_battery()) return 100;
  const double gone = 100 * in_seconds(clock_.now() - at_) / in_seconds(battery_);
  return std::clamp(percent_ + (plugged_ ? kChargingRate : -1) * gone, 0.0, 100.0);
}

void DeviceBody::plug(bool in) {
  lowest_ = lowest_percent();
  percent_ = percent();
  at_ = clock_.now();
  plugged_ = in;
}

std::vector<std::string> DeviceBody::list(const std::string& path) const {
  if (path == kSupplies && has_battery()) return {"battery"};
  return {};
}

std::optional<std::string> DeviceBody::read(const std::string& path) const {
  const std::string battery = fmt::format("{}/battery/", kSupplies);
  if (!has_battery() || !path.starts_with(battery)) return std::nullopt;
  const std::string name = path.substr(battery.size());
  if (name == "type") return "Battery\n";
  if (name == "status") return plugged_ ? "Charging\n" : "Discharging\n";
  if (name == "capacity") return fmt::format("{}\n", static_cast<int>(percent()));
  if (name == "temp") return fmt::format("{}\n", celsius_ * 10);
  return std::nullopt;
}

}  // namespace potluck::sim
