#include "coordinator/cli/pool_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/use_json.h"

namespace potluck {
namespace {

// Steps of the scale by which the use of experts is shown: digits, so that a layer is one text.
constexpr double kHeatSteps = 9;

// Where a worker's experts came from, in bytes.
nlohmann::json describe_sources(const DeviceView& device) {
  const SourceRecord& sources = device.record.sources;
  nlohmann::json peers = nlohmann::json::array();
  for (const auto& [key, bytes] : sources.peer_bytes) {
    const auto named = device.peer_names.find(key);
    peers.push_back({{"key", key.text()},
                     {"name", named == device.peer_names.end() ? key.brief() : named->second},
                     {"bytes", bytes},
                     {"sent_wrong_bytes", sources.accused.contains(key)}});
  }
  return {{"coordinator_bytes", sources.coordinator_bytes},
          {"file_bytes", sources.file_bytes},
          {"peers", peers}};
}

nlohmann::json describe_health(const WorkerHealth& health) {
  nlohmann::json described = {{"share_percent", health.share},
                              {"reason", health.reason},
                              {"on_battery", health.on_battery},
                              {"pause_in_seconds", health.pause_seconds},
                              {"use", describe_use(health.use)},
                              {"battery_percent", nullptr},
                              {"celsius", nullptr}};
  if (health.battery_percent) described["battery_percent"] = *health.battery_percent;
  if (health.celsius) described["celsius"] = *health.celsius;
  return described;
}

// How far its answers are believed.
nlohmann::json describe_trust(const DeviceView& device) {
  return {{"valid_in_a_row", device.trust.valid},
          {"compared", device.trust.compared},
          {"wrong", device.trust.mismatches},
          {"compared_share", device.compared_share}};
}

// Null where it is not in quarantine.
nlohmann::json describe_quarantine(const WorkerRecord& worker) {
  if (!worker.quarantine) return nullptr;
  return {{"reason", worker.quarantine->reason},
          {"until_unix_seconds", worker.quarantine->until_seconds}};
}

nlohmann::json describe_worker(const DeviceView& device) {
  const WorkerRecord& worker = device.record;
  return {{"number", worker.number},
          {"name", worker.name},
          {"key", device.key.text()},
          {"state", device_state_name(device.state)},
          {"software", worker.software},
          {"ram_bytes", worker.ram_bytes},
          {"disk_bytes", worker.disk_bytes},
          {"lacks_room", worker.room_reason},
          {"units_assigned", device.units_assigned},
          {"units_ready", device.units_ready},
          {"serves_at", worker.bulk_endpoint},
          {"health", describe_health(worker.health)},
          {"breaker", breaker_name(device.breaker)},
          {"trust", describe_trust(device)},
          {"quarantine", describe_quarantine(worker)},
          {"fetched", describe_sources(device)},
          {"facts", describe_facts(device.facts)},
          {"weight", device.weight},
          {"left_out", device.left_out},
          {"accused_of_wrong_bytes_by", device.accusers}};
}

// A digit for each number, by the logarithm of its part of the largest: a few experts are used far
// more than the others.
std::string heat_digits(const std::vector<uint32_t>& uses) {
  const auto largest = std::ranges::max_element(uses);
  const double scale = largest == uses.end() ? 0 : std::log1p(*largest);
  std::string digits;
  for (const uint32_t count : uses) {
    const double part = scale > 0 ? std::log1p(count) / scale : 0;
    digits += static_cast<char>('0' + std::lround(part * kHeatSteps));
  }
  return digits;
}

std::string copies_digits(const std::vector<uint32_t>& copies) {
  std::string digits;
  for (const uint32_t count : copies) digits += static_cast<char>('0' + std::min(count, 9U));
  return digits;
}

// The coordinator as a device that holds experts; null if it keeps none.
nlohmann::json describe_own(const std::optional<DeviceFacts>& own) {
  if (!own) return nullptr;
  return {{"ram_bytes", own->ram_bytes}, {"facts", describe_facts(*own)}};
}

}  // namespace

nlohmann::json describe_view(const PoolView& view) {
  nlohmann::json workers = nlohmann::json::array();
  for (const DeviceView& device : view.devices) workers.push_back(describe_worker(device));
  return {{"workers", workers},
          {"own_share", view.own_share},
          {"own", describe_own(view.own)},
          {"slices", view.slices},
          {"units_assigned", view.units_assigned},
          {"units_ready", view.units_ready}};
}

nlohmann::json describe_map(const UnitMap& map) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerMap& layer : map.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"own", layer.own},
                      {"cells", layer.cells},
                      {"copies", copies_digits(layer.copies)},
                      {"heat", heat_digits(layer.uses)}});
  }
  return {{"sets", map.sets}, {"layers", layers}};
}

nlohmann::json describe_waiting(const WaitingDevice& device) {
  return {
      {"name", device.name},
      {"key", device.key.text()},
      {"code", device.code},
      {"waited_seconds", std::chrono::duration_cast<std::chrono::seconds>(device.waited).count()}};
}

nlohmann::json describe_device(const PoolDevice& device) {
  nlohmann::json described = {
      {"name", device.name}, {"key", device.key.text()}, {"member", device.member}};
  if (device.member) described["calls_itself"] = device.worker_name;
  return described;
}

}  // namespace potluck
