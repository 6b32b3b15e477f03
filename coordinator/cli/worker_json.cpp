#include "coordinator/cli/worker_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/cli/counters_json.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/use_json.h"

namespace potluck {
namespace {

uint64_t amount(const nlohmann::json& document, const char* name) {
  return static_cast<uint64_t>(std::max<int64_t>(0, whole_field(document, name)));
}

uint32_t small_amount(const nlohmann::json& document, const char* name) {
  return static_cast<uint32_t>(std::min<uint64_t>(amount(document, name), UINT32_MAX));
}

nlohmann::json describe_membership(const MembershipStatus& pool) {
  return {{"coordinator", pool.coordinator.text()},
          {"phase", pool.phase},
          {"units_assigned", pool.units_assigned},
          {"units_ready", pool.units_ready},
          {"bytes_fetched", pool.bytes_fetched},
          {"fetched",
           {{"coordinator_bytes", pool.sources.coordinator},
            {"file_bytes", pool.sources.file},
            {"peers", pool.sources.peers}}},
          {"rows_computed", pool.rows_computed},
          {"units_computed", pool.units_computed},
          {"requests_answered", pool.requests_answered},
          {"requests_refused", pool.requests_refused},
          {"requests_waiting", pool.requests_waiting},
          {"counters", json_of(pool.work)}};
}

nlohmann::json describe_condition(const HealthReport& health) {
  nlohmann::json described = {{"share_percent", health.share},
                              {"reason", health.text},
                              {"on_battery", health.on_battery},
                              {"pause_in_seconds", health.pause_seconds},
                              {"use", describe_use(health.use)},
                              {"battery_percent", nullptr},
                              {"celsius", nullptr}};
  if (health.battery_percent != HealthReport::kNoBattery) {
    described["battery_percent"] = health.battery_percent;
  }
  if (health.celsius != HealthReport::kNoThermometer) described["celsius"] = health.celsius;
  return described;
}

HealthReport read_condition(const nlohmann::json& document) {
  HealthReport health;
  if (document.empty()) return health;
  health.share = static_cast<uint8_t>(std::min<uint64_t>(amount(document, "share_percent"), 100));
  health.text = text_field(document, "reason", "");
  health.pause_seconds = small_amount(document, "pause_in_seconds");
  health.use = use_of_json(object_field(document, "use"));
  const auto on_battery = document.find("on_battery");
  health.on_battery = on_battery != document.end() && *on_battery == true;
  health.battery_percent = static_cast<uint8_t>(std::clamp<int64_t>(
      whole_field(document, "battery_percent", HealthReport::kNoBattery), 0, UINT8_MAX));
  health.celsius = static_cast<int16_t>(std::clamp<int64_t>(
      whole_field(document, "celsius", HealthReport::kNoThermometer), -1000, 1000));
  return health;
}

MembershipStatus read_membership(const nlohmann::json& document) {
  MembershipStatus pool;
  if (auto key = parse_peer_key(text_field(document, "coordinator", ""))) pool.coordinator = *key;
  pool.phase = text_field(document, "phase", "?");
  pool.units_assigned = small_amount(document, "units_assigned");
  pool.units_ready = small_amount(document, "units_ready");
  pool.bytes_fetched = amount(document, "bytes_fetched");
  const nlohmann::json fetched = object_field(document, "fetched");
  pool.sources.coordinator = amount(fetched, "coordinator_bytes");
  pool.sources.file = amount(fetched, "file_bytes");
  const nlohmann::json peers = object_field(fetched, "peers");
  for (const auto& [name, bytes] : peers.items())
    pool.sources.peers[name] = amount(peers, name.c_str());
  pool.rows_computed = amount(document, "rows_computed");
  pool.units_computed = amount(document, "units_computed");
  pool.requests_answered = amount(document, "requests_answered");
  pool.requests_refused = amount(document, "requests_refused");
  pool.requests_waiting = amount(document, "requests_waiting");
  const nlohmann::json counters = object_field(document, "counters");
  visit_counters(
      [&](const auto& counter, uint64_t& value) { value = amount(counters, counter.name); },
      pool.work);
  return pool;
}

}  // namespace

nlohmann::json describe_worker_report(const WorkerReport& report) {
  nlohmann::json pools = nlohmann::json::array();
  for (const MembershipStatus& pool : report.pools) pools.push_back(describe_membership(pool));
  return {{"name", report.name},
          {"software", report.software},
          {"key", report.key.text()},
          {"memory_bytes", report.memory_bytes},
          {"resident_bytes", report.resident_bytes},
          {"memory_shrinks", report.memory_shrinks},
          {"memory_given_back_bytes", report.memory_given_back},
          {"disk_bytes", report.disk_bytes},
          {"stored_bytes", report.stored_bytes},
          {"bytes_served", report.bytes_served},
          {"steady_seconds", report.steady_seconds},
          {"health", describe_condition(report.health)},
          {"pools", pools}};
}

WorkerReport worker_report_of_json(const nlohmann::json& document) {
  WorkerReport report;
  report.name = text_field(document, "name", "?");
  report.software = text_field(document, "software", "?");
  if (auto key = parse_peer_key(text_field(document, "key", ""))) report.key = *key;
  report.memory_bytes = amount(document, "memory_bytes");
  report.resident_bytes = amount(document, "resident_bytes");
  report.memory_shrinks = amount(document, "memory_shrinks");
  report.memory_given_back = amount(document, "memory_given_back_bytes");
  report.disk_bytes = amount(document, "disk_bytes");
  report.stored_bytes = amount(document, "stored_bytes");
  report.bytes_served = amount(document, "bytes_served");
  report.steady_seconds = decimal_field(document, "steady_seconds");
  report.health = read_condition(object_field(document, "health"));
  for (const nlohmann::json& pool : list_field(document, "pools")) {
    if (pool.is_object()) report.pools.push_back(read_membership(pool));
  }
  return report;
}

}  // namespace potluck
