#include "worker/power_meter.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/template/json.h"
#include "worker/system_text.h"

namespace potluck {
namespace {

constexpr const char* kBatteries = "/sys/class/power_supply";
constexpr const char* kCounters = "/sys/class/powercap";
constexpr double kNewest = 0.25;      // of the mean
constexpr double kMostWatts = 5'000;  // a reading beyond is none
constexpr double kLeastTime = 0.5;    // seconds between two looks at a counter

// Drivers disagree on the sign of a current that leaves a battery.
std::optional<double> milliwatts_of(std::optional<int64_t> microamperes,
                                    std::optional<int64_t> microvolts) {
  if (!microamperes || !microvolts || *microvolts <= 0) return std::nullopt;
  return std::abs(static_cast<double>(*microamperes)) * static_cast<double>(*microvolts) * 1e-9;
}

}  // namespace

// Nothing unless a battery gives power: what charges it would be counted, too.
std::optional<double> PowerMeter::from_batteries() const {
  std::optional<double> sum;
  for (const std::string& name : files_.list(kBatteries)) {
    const std::string supply = fmt::format("{}/{}/", kBatteries, name);
    if (first_line(files_, supply + "type") != "Battery") continue;
    if (first_line(files_, supply + "scope") == "Device") continue;
    if (first_line(files_, supply + "status") != "Discharging") continue;
    const auto microwatts = whole_number<int64_t>(first_line(files_, supply + "power_now"));
    std::optional<double> power;
    if (microwatts) {
      power = std::abs(static_cast<double>(*microwatts)) * 1e-3;
    } else {
      power = milliwatts_of(whole_number<int64_t>(first_line(files_, supply + "current_now")),
                            whole_number<int64_t>(first_line(files_, supply + "voltage_now")));
    }
    if (power) sum = sum.value_or(0) + *power;
  }
  return sum;
}

std::optional<double> PowerMeter::from_owner() const {
  const auto text = file_.empty() ? std::nullopt : files_.read(file_);
  if (!text) return std::nullopt;
  const Result<JsonValue> json = parse_json(*text);
  if (!json || json->object() == nullptr) return std::nullopt;
  std::optional<int64_t> current;
  std::optional<int64_t> voltage;
  bool unplugged = false;
  for (const auto& [key, value] : *json->object()) {
    const auto* number = std::get_if<int64_t>(&value.data);
    if (key == "current" && number != nullptr) current = *number;
    if (key == "voltage" && number != nullptr && *number < 1'000'000) voltage = *number * 1000;
    if (key == "plugged" && value.text() != nullptr) unplugged = *value.text() == "UNPLUGGED";
  }
  return unplugged ? milliwatts_of(current, voltage) : std::nullopt;
}

// Of all packages; their parts, which have two colons, are in them already. A counter of the
// whole platform has everything.
std::optional<PowerMeter::Counter> PowerMeter::read_counters() const {
  std::optional<Counter> packages;
  for (const std::string& name : files_.list(kCounters)) {
    const bool is_zone = name.find("rapl:") != std::string::npos &&
                         name.find(':') == name.rfind(':') && !name.starts_with("intel-rapl-mmio");
    if (!is_zone) continue;
    const std::string zone = fmt::format("{}/{}/", kCounters, name);
    const auto energy = whole_number<int64_t>(first_line(files_, zone + "energy_uj"));
    if (!energy || *energy < 0) continue;
    const auto range =
        whole_number<int64_t>(first_line(files_, zone + "max_energy_range_uj")).value_or(0);
    const Counter counter{static_cast<uint64_t>(*energy),
                          static_cast<uint64_t>(std::max<int64_t>(range, 0))};
    if (first_line(files_, zone + "name") == "psys") return counter;
    if (!packages) packages = Counter{};
    packages->microjoules += counter.microjoules;
    packages->range = std::max(packages->range, counter.range);
  }
  return packages;
}

std::optional<double> PowerMeter::from_counter(TimePoint now) {
  const std::optional<Counter> next = read_counters();
  if (!next) return std::nullopt;
  const std::optional<Counter> before = std::exchange(counter_, next);
  const double seconds = in_seconds(now - std::exchange(counted_at_, now));
  if (!before || seconds < kLeastTime) return std::nullopt;
  uint64_t energy = next->microjoules - before->microjoules;
  if (next->microjoules < before->microjoules) energy += next->range;
  return static_cast<double>(energy) * 1e-3 / seconds;
}

uint32_t PowerMeter::look(TimePoint now) {
  std::optional<double> power = from_owner();
  if (!power) power = from_batteries();
  if (!power) power = from_counter(now);
  if (power && *power > 0 && *power < kMostWatts * 1e3) {
    mean_ = mean_ > 0 ? mean_ + kNewest * (*power - mean_) : *power;
  }
  return static_cast<uint32_t>(std::lround(mean_));
}

}  // namespace potluck
