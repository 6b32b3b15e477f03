// The other half of pool_json.cpp: what it has written, as values again.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_json.h"
#include "coordinator/cli/use_json.h"

namespace potluck {
namespace {

uint64_t count_of(const nlohmann::json& document, const char* name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, name)));
}

template <class T>
T small_count_of(const nlohmann::json& document, const char* name) {
  return static_cast<T>(
      std::min<uint64_t>(count_of(document, name), std::numeric_limits<T>::max()));
}

bool switch_of(const nlohmann::json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_boolean() && found->get<bool>();
}

bool has_number(const nlohmann::json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_number_integer();
}

DeviceState read_state(const std::string& name) {
  constexpr std::array kStates{DeviceState::kQuarantined, DeviceState::kSilent,
                               DeviceState::kDraining,    DeviceState::kLeftOut,
                               DeviceState::kJoining,     DeviceState::kFetching,
                               DeviceState::kReady};
  for (const DeviceState state : kStates) {
    if (device_state_name(state) == name) return state;
  }
  return DeviceState::kJoining;
}

BreakerState read_breaker(const std::string& name) {
  for (const BreakerState state : {BreakerState::kOpen, BreakerState::kHalfOpen}) {
    if (breaker_name(state) == name) return state;
  }
  return BreakerState::kClosed;
}

DeviceView read_device(const nlohmann::json& worker) {
  DeviceView device;
  if (auto key = parse_peer_key(text_field(worker, "key", ""))) device.key = *key;
  WorkerRecord& record = device.record;
  record.number = small_count_of<uint32_t>(worker, "number");
  record.name = text_field(worker, "name", "?");
  record.software = text_field(worker, "software", "?");
  record.ram_bytes = count_of(worker, "ram_bytes");
  record.disk_bytes = count_of(worker, "disk_bytes");
  record.room_reason = text_field(worker, "lacks_room", "");
  record.health = health_of_json(object_field(worker, "health"));
  const nlohmann::json quarantine = object_field(worker, "quarantine");
  if (!quarantine.empty()) {
    record.quarantine = {text_field(quarantine, "reason", "?"),
                         whole_field(quarantine, "until_unix_seconds")};
  }
  device.units_assigned = count_of(worker, "units_assigned");
  device.units_ready = count_of(worker, "units_ready");
  device.state = read_state(text_field(worker, "state", ""));
  device.facts = facts_of_json(object_field(worker, "facts"));
  const nlohmann::json trust = object_field(worker, "trust");
  device.trust.valid = small_count_of<uint32_t>(trust, "valid_in_a_row");
  device.trust.compared = small_count_of<uint32_t>(trust, "compared");
  device.trust.mismatches = small_count_of<uint32_t>(trust, "wrong");
  device.breaker = read_breaker(text_field(worker, "breaker", ""));
  device.weight = small_count_of<uint32_t>(worker, "weight");
  device.left_out = text_field(worker, "left_out", "");
  device.accusers = small_count_of<uint32_t>(worker, "accused_of_wrong_bytes_by");
  return device;
}

std::vector<uint32_t> read_numbers(const nlohmann::json& list) {
  std::vector<uint32_t> numbers;
  for (const nlohmann::json& entry : list) {
    const bool good = entry.is_number_unsigned() && entry.get<uint64_t>() <= UINT32_MAX;
    numbers.push_back(good ? entry.get<uint32_t>() : 0);
  }
  return numbers;
}

std::vector<uint32_t> read_digits(const std::string& text) {
  std::vector<uint32_t> numbers;
  for (const char c : text)
    numbers.push_back(c >= '0' && c <= '9' ? static_cast<uint32_t>(c - '0') : 0);
  return numbers;
}

LayerMap read_layer(const nlohmann::json& document) {
  LayerMap layer;
  layer.layer = small_count_of<uint32_t>(document, "layer");
  layer.cells = read_numbers(list_field(document, "cells"));
  layer.own = std::min(small_count_of<uint32_t>(document, "own"),
                       static_cast<uint32_t>(layer.cells.size()));
  layer.copies = read_digits(text_field(document, "copies", ""));
  layer.uses = read_digits(text_field(document, "heat", ""));
  // The digits are logarithms.
  for (uint32_t& use : layer.uses) use = static_cast<uint32_t>(std::lround(std::expm1(use)));
  return layer;
}

}  // namespace

WorkerHealth health_of_json(const nlohmann::json& document) {
  WorkerHealth health;
  health.share = static_cast<uint8_t>(
      std::clamp<int64_t>(whole_field(document, "share_percent", health.share), 0, 100));
  health.reason = text_field(document, "reason", "");
  health.on_battery = switch_of(document, "on_battery");
  health.pause_seconds = small_count_of<uint32_t>(document, "pause_in_seconds");
  health.use = use_of_json(object_field(document, "use"));
  if (has_number(document, "battery_percent")) {
    health.battery_percent = small_count_of<uint8_t>(document, "battery_percent");
  }
  if (has_number(document, "celsius")) {
    health.celsius =
        static_cast<int16_t>(std::clamp<int64_t>(whole_field(document, "celsius"), -300, 3000));
  }
  return health;
}

PoolView view_of_json(const nlohmann::json& document) {
  PoolView view;
  for (const nlohmann::json& worker : list_field(document, "workers")) {
    if (worker.is_object()) view.devices.push_back(read_device(worker));
  }
  view.own_share = decimal_field(document, "own_share", view.own_share);
  const nlohmann::json own = object_field(document, "own");
  if (!own.empty()) {
    view.own = facts_of_json(object_field(own, "facts"));
    view.own->ram_bytes = count_of(own, "ram_bytes");
  }
  view.slices = small_count_of<uint32_t>(document, "slices");
  view.units_assigned = count_of(document, "units_assigned");
  view.units_ready = count_of(document, "units_ready");
  return view;
}

UnitMap map_of_json(const nlohmann::json& document) {
  UnitMap map;
  for (const nlohmann::json& set : list_field(document, "sets")) {
    map.sets.push_back(set.is_array() ? read_numbers(set) : std::vector<uint32_t>());
  }
  for (const nlohmann::json& layer : list_field(document, "layers")) {
    if (layer.is_object()) map.layers.push_back(read_layer(layer));
  }
  return map;
}

}  // namespace potluck
