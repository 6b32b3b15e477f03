#include "worker/device_health.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/template/json.h"

namespace potluck {
namespace {

constexpr const char* kPowerSupplies = "/sys/class/power_supply";
constexpr const char* kThermalZones = "/sys/class/thermal";
constexpr const char* kMemoryStalls = "/proc/pressure/memory";
// What a thermometer of a running device can show. Zones that are not wired report 0 K or 127 C.
constexpr int32_t kColdest = -40;
constexpr int32_t kHottest = 125;

std::string line_of(const SystemFiles& files, const std::string& path) {
  const std::optional<std::string> text = files.read(path);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

std::optional<int32_t> whole(std::string_view text) {
  int32_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int32_t> plausible(std::optional<int32_t> celsius) {
  if (!celsius || *celsius < kColdest || *celsius > kHottest) return std::nullopt;
  return celsius;
}

void take_warmer(std::optional<int32_t> celsius, std::optional<int32_t>* warmest) {
  if (celsius && (!*warmest || *celsius > **warmest)) *warmest = celsius;
}

// Batteries and chargers. The batteries of mice and keyboards are listed, too: their scope is
// "Device".
void read_power(const SystemFiles& files, DeviceHealth* health) {
  int32_t percent = 0;
  int32_t batteries = 0;
  bool discharging = false;
  bool charger = false;
  for (const std::string& name : files.list(kPowerSupplies)) {
    const std::string supply = fmt::format("{}/{}/", kPowerSupplies, name);
    if (line_of(files, supply + "type") != "Battery") {
      charger = charger || line_of(files, supply + "online") == "1";
      continue;
    }
    if (line_of(files, supply + "scope") == "Device") continue;
    discharging = discharging || line_of(files, supply + "status") == "Discharging";
    const auto tenths = whole(line_of(files, supply + "temp"));
    if (tenths) take_warmer(plausible(*tenths / 10), &health->battery_celsius);
    const auto capacity = whole(line_of(files, supply + "capacity"));
    if (!capacity || *capacity < 0 || *capacity > 100) continue;
    percent += *capacity;
    ++batteries;
  }
  if (batteries > 0) health->battery_percent = static_cast<uint8_t>(percent / batteries);
  health->on_battery = discharging && !charger;
}

// Whether a thermal zone is that of a processor: names differ from driver to driver, and a phone
// has dozens of other zones (modem, skin, charger).
bool is_processor(std::string_view type) {
  for (std::string_view name : {"cpu", "pkg", "soc", "core", "k10temp", "acpitz"}) {
    if (type.find(name) != std::string_view::npos) return true;
  }
  return false;
}

void read_heat(const SystemFiles& files, DeviceHealth* health) {
  for (const std::string& name : files.list(kThermalZones)) {
    const std::string zone = fmt::format("{}/{}/", kThermalZones, name);
    if (name.find("thermal_zone") != 0 || !is_processor(line_of(files, zone + "type"))) continue;
    const auto thousandths = whole(line_of(files, zone + "temp"));
    if (thousandths) take_warmer(plausible(*thousandths / 1000), &health->celsius);
  }
}

// "some avg10=0.12 avg60=...", as Documentation/accounting/psi.rst of Linux has it.
void read_memory_stall(const SystemFiles& files, DeviceHealth* health) {
  const std::string line = line_of(files, kMemoryStalls);
  const std::string_view mark = "some avg10=";
  if (line.find(mark) != 0) return;
  double percent = 0;
  auto [end, failure] =
      std::from_chars(line.data() + mark.size(), line.data() + line.size(), percent);
  if (failure == std::errc() && percent >= 0 && percent <= 100) health->memory_stall = percent;
}

const JsonValue* member(const JsonValue::Object& object, std::string_view name) {
  for (const auto& [key, value] : object) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<int32_t> number(const JsonValue* value, int32_t least, int32_t most) {
  if (value == nullptr) return std::nullopt;
  double given = NAN;
  if (const auto* integer = std::get_if<int64_t>(&value->data)) given = double(*integer);
  if (const auto* real = std::get_if<double>(&value->data)) given = *real;
  if (!(given >= least && given <= most)) return std::nullopt;
  return static_cast<int32_t>(std::lround(given));
}

bool says(const JsonValue* value, std::string_view text) {
  return value != nullptr && value->text() != nullptr && *value->text() == text;
}

void read_owners_file(const SystemFiles& files, const std::string& path, DeviceHealth* health) {
  const auto text = files.read(path);
  if (!text) return;
  const Result<JsonValue> json = parse_json(*text);
  if (!json || json->object() == nullptr) return;
  const JsonValue::Object& said = *json->object();
  if (auto percent = number(member(said, "percentage"), 0, 100)) {
    health->battery_percent = static_cast<uint8_t>(*percent);
  }
  const JsonValue* plugged = member(said, "plugged");
  const JsonValue* status = member(said, "status");
  if (plugged != nullptr || status != nullptr) {
    health->on_battery = says(plugged, "UNPLUGGED") || says(status, "DISCHARGING");
  }
  if (auto warm = number(member(said, "temperature"), kColdest, kHottest)) {
    health->battery_celsius = warm;
  }
  if (auto warm = number(member(said, "celsius"), kColdest, kHottest)) health->celsius = warm;
  if (const JsonValue* metered = member(said, "metered")) {
    const bool* paid = std::get_if<bool>(&metered->data);
    health->metered = paid != nullptr && *paid;
  }
}

}  // namespace

DeviceHealth read_health(const SystemFiles& files, const std::string& file) {
  DeviceHealth health;
  read_power(files, &health);
  read_heat(files, &health);
  read_memory_stall(files, &health);
  if (!file.empty()) read_owners_file(files, file, &health);
  return health;
}

}  // namespace potluck
