#include "worker/device_health.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/template/json.h"
#include "worker/system_text.h"

namespace potluck {
namespace {

constexpr const char* kPowerSupplies = "/sys/class/power_supply";
constexpr const char* kThermalZones = "/sys/class/thermal";
constexpr const char* kMemoryStalls = "/proc/pressure/memory";
// What a thermometer of a running device can show. Zones that are not wired report 0 K or 127 C.
constexpr int32_t kColdest = -40;
constexpr int32_t kHottest = 125;

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
    if (first_line(files, supply + "type") != "Battery") {
      charger = charger || first_line(files, supply + "online") == "1";
      continue;
    }
    if (first_line(files, supply + "scope") == "Device") continue;
    discharging = discharging || first_line(files, supply + "status") == "Discharging";
    const auto tenths = whole_number<int32_t>(first_line(files, supply + "temp"));
    if (tenths) take_warmer(plausible(*tenths / 10), &health->battery_celsius);
    const auto capacity = whole_number<int32_t>(first_line(files, supply + "capacity"));
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
    if (name.find("thermal_zone") != 0 || !is_processor(first_line(files, zone + "type"))) continue;
    const auto thousandths = whole_number<int32_t>(first_line(files, zone + "temp"));
    if (thousandths) take_warmer(plausible(*thousandths / 1000), &health->celsius);
  }
}

// "some avg10=0.12 avg60=...", as Documentation/accounting/psi.rst of Linux has it.
std::optional<double> read_memory_stall(const SystemFiles& files) {
  const std::string line = first_line(files, kMemoryStalls);
  const std::string_view mark = "some avg10=";
  if (line.find(mark) != 0) return std::nullopt;
  double percent = 0;
  auto [end, failure] =
      std::from_chars(line.data() + mark.size(), line.data() + line.size(), percent);
  if (failure != std::errc() || !(percent >= 0 && percent <= 100)) return std::nullopt;
  return percent;
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

// Bytes.
std::optional<uint64_t> amount(const JsonValue* value) {
  if (value == nullptr) return std::nullopt;
  const auto* integer = std::get_if<int64_t>(&value->data);
  if (integer == nullptr || *integer < 0) return std::nullopt;
  return static_cast<uint64_t>(*integer);
}

bool says(const JsonValue* value, std::string_view text) {
  return value != nullptr && value->text() != nullptr && *value->text() == text;
}

// What the owner's file says; nothing where it says nothing.
JsonValue::Object said_by_owner(const SystemFiles& files, const std::string& path) {
  const auto text = path.empty() ? std::nullopt : files.read(path);
  if (!text) return {};
  const Result<JsonValue> json = parse_json(*text);
  return json && json->object() != nullptr ? *json->object() : JsonValue::Object{};
}

void take_owners_word(const JsonValue::Object& said, DeviceHealth* health) {
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
  if (auto stall = number(member(said, "memory_stall"), 0, 100)) health->memory_stall = stall;
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
  health.memory_stall = read_memory_stall(files);
  take_owners_word(said_by_owner(files, file), &health);
  return health;
}

MemoryState read_memory(const SystemFiles& files, const std::string& file) {
  MemoryState state;
  const ProcessLimits limits = process_limits(files);
  if (!limits.total.source.empty() && !limits.available.source.empty()) {
    state.total = limits.total.bytes;
    state.available = limits.available.bytes;
  }
  state.stall = read_memory_stall(files);
  const JsonValue::Object said = said_by_owner(files, file);
  if (auto stall = number(member(said, "memory_stall"), 0, 100)) state.stall = stall;
  const auto total = amount(member(said, "memory_total"));
  const auto available = amount(member(said, "memory_available"));
  if (available) state.available = *available;
  if (total) state.total = *total;
  return state;
}

}  // namespace potluck
