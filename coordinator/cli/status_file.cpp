#include "coordinator/cli/status_file.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include "coordinator/cli/counters_json.h"
#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/runtime/pool_spread.h"
#include "engine/base/process_identity.h"

namespace potluck {
namespace {

constexpr uint64_t kStatusBytes = kMiB;

std::string status_path(const std::string& state_directory) {
  return state_directory + "/status.json";
}

// Where a worker's experts came from, in bytes.
nlohmann::json describe_sources(const ClusterState& cluster, const SourceRecord& sources) {
  nlohmann::json peers = nlohmann::json::array();
  for (const auto& [key, bytes] : sources.peer_bytes) {
    const WorkerRecord* peer = cluster.worker(key);
    peers.push_back({{"key", key.text()},
                     {"name", peer == nullptr ? key.brief() : peer->name},
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
                              {"battery_percent", nullptr},
                              {"celsius", nullptr}};
  if (health.battery_percent) described["battery_percent"] = *health.battery_percent;
  if (health.celsius) described["celsius"] = *health.celsius;
  return described;
}

// How far its answers are believed.
nlohmann::json describe_trust(const Dispatcher& dispatcher, const PeerKey& key) {
  const TrustRecord record = dispatcher.trust().record(key);
  return {{"valid_in_a_row", record.valid},
          {"compared", record.compared},
          {"wrong", record.mismatches},
          {"compared_share", dispatcher.trust().check_rate(key)}};
}

// Null where it is not in quarantine.
nlohmann::json describe_quarantine(const WorkerRecord& worker) {
  if (!worker.quarantine) return nullptr;
  return {{"reason", worker.quarantine->reason},
          {"until_unix_seconds", worker.quarantine->until_seconds}};
}

nlohmann::json describe_worker(Pool& pool, const PeerKey& key, const WorkerRecord& worker) {
  const ClusterState& cluster = pool.cluster();
  return {{"number", worker.number},
          {"name", worker.name},
          {"key", key.text()},
          {"software", worker.software},
          {"ram_bytes", worker.ram_bytes},
          {"disk_bytes", worker.disk_bytes},
          {"units_assigned", worker.assigned.size()},
          {"units_ready", worker.ready.size()},
          {"serves_at", worker.bulk_endpoint},
          {"health", describe_health(worker.health)},
          {"breaker", breaker_name(pool.dispatcher().breaker(key))},
          {"trust", describe_trust(pool.dispatcher(), key)},
          {"quarantine", describe_quarantine(worker)},
          {"fetched", describe_sources(cluster, worker.sources)},
          {"facts", describe_facts(facts_of(key, worker, &pool.learned()))},
          {"weight", pool.shares().weight(key)},
          {"left_out", pool.shares().left_out(key)},
          {"accused_of_wrong_bytes_by", cluster.accusers(key)}};
}

// The coordinator as a device that holds experts; null if it keeps none.
nlohmann::json describe_own(const ShareKeeper& shares) {
  if (!shares.own()) return nullptr;
  return {{"ram_bytes", shares.own()->ram_bytes}, {"facts", describe_facts(*shares.own())}};
}

// Null where the model's file is here.
nlohmann::json describe_spread(const Pool& pool) {
  const auto progress = pool.spread_progress_locked();
  if (!progress) return nullptr;
  return {{"complete", progress->complete},
          {"experts", progress->counts.total},
          {"experts_passed_on", progress->counts.known},
          {"units_without_all_copies", progress->counts.scarce},
          {"missing_units", progress->counts.missing},
          {"missing", progress->missing},
          {"waiting_calls", pool.dispatcher().stranded_calls()},
          {"source", pool.spread_source()},
          {"trouble", progress->trouble}};
}

}  // namespace

nlohmann::json describe_pool(Runtime& runtime, int64_t unix_seconds) {
  // These two take the loop's lock themselves, so they come before it is taken here: it is not
  // recursive.
  ExpertCounters counters = runtime.counters();
  uint64_t delivered = runtime.pool()->bytes_delivered();
  auto lock = runtime.pool()->lock();
  const ClusterState& cluster = runtime.pool()->cluster();
  nlohmann::json workers = nlohmann::json::array();
  for (const auto& [key, worker] : cluster.workers()) {
    workers.push_back(describe_worker(*runtime.pool(), key, worker));
  }
  return {{"process", getpid()},
          {"process_start", process_start(system_files(), getpid()).value_or(0)},
          {"written_unix_seconds", unix_seconds},
          {"model", runtime.model().config().name},
          {"file", runtime.model().file().path()},
          {"workers", workers},
          {"spread", describe_spread(*runtime.pool())},
          {"own_share", runtime.pool()->shares().own_share()},
          {"own", describe_own(runtime.pool()->shares())},
          {"slices", runtime.pool()->shares().slices()},
          {"workers_lost", counters.workers_lost},
          {"units_assigned", cluster.units_assigned()},
          {"units_ready", cluster.units_ready()},
          {"bytes_delivered", delivered},
          {"remote_expert_calls", counters.dispatch.remote_unit_calls},
          {"local_expert_calls", counters.dispatch.local_unit_calls},
          {"wire_bytes", counters.wire_bytes},
          {"counters", json_of(counters)}};
}

Status write_status(Storage& storage, const std::string& state_directory,
                    const nlohmann::json& status) {
  // It names devices and where they are reached.
  constexpr uint32_t kOwnerOnly = 0600;
  return storage.write_atomic(status_path(state_directory), as_bytes(json_text(status)),
                              kOwnerOnly);
}

Result<nlohmann::json> read_status(Storage& storage, const std::string& state_directory) {
  std::string path = status_path(state_directory);
  if (!storage.exists(path)) {
    return Error{ErrorCode::kNotFound, path + ": no coordinator has run here"};
  }
  Result<ByteVector> text = read_file(storage, path, kStatusBytes);
  if (!text) return text.error();
  Result<nlohmann::json> status = read_json(as_text(*text));
  if (!status) return status.error().in(path);
  if (!status->is_object()) return Error{ErrorCode::kCorrupt, path + ": expected a JSON object"};
  return status;
}

}  // namespace potluck
