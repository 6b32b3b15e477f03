#include "coordinator/cli/pool_reporter.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include "coordinator/cli/counters_json.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/log_file.h"
#include "coordinator/cli/pool_json.h"
#include "coordinator/runtime/pool_spread.h"
#include "engine/base/process_identity.h"

namespace potluck {
namespace {

nlohmann::json describe_events(const std::vector<PastEvent>& events) {
  nlohmann::json list = nlohmann::json::array();
  for (const PastEvent& event : events) {
    list.push_back({{"number", event.number},
                    {"unix_seconds", event.unix_seconds},
                    {"level", log_level_name(event.level)},
                    {"component", event.component},
                    {"message", event.message}});
  }
  return list;
}

// Null where the model's file is here.
nlohmann::json describe_spread(Pool& pool, const PoolView& view) {
  const auto progress = pool.spread_progress();
  if (!progress) return nullptr;
  return {{"complete", progress->complete},
          {"experts", progress->counts.total},
          {"experts_passed_on", progress->counts.known},
          {"units_without_all_copies", progress->counts.scarce},
          {"missing_units", progress->counts.missing},
          {"missing", progress->missing},
          {"waiting_calls", view.waiting_calls},
          {"source", pool.spread_source()},
          {"trouble", progress->trouble}};
}

}  // namespace

nlohmann::json PoolReporter::status(bool watched) {
  update_map(watched);
  // These take the loop's lock themselves, one after the other.
  Pool& pool = *runtime_.pool();
  const ExpertCounters counters = runtime_.counters();
  const uint64_t delivered = pool.bytes_delivered();
  const PoolView view = pool.view();
  nlohmann::json status = describe_view(view);
  nlohmann::json waiting = nlohmann::json::array();
  for (const WaitingDevice& device : view.waiting) waiting.push_back(describe_waiting(device));
  nlohmann::json devices = nlohmann::json::array();
  for (const PoolDevice& device : pool.devices()) devices.push_back(describe_device(device));
  status.update({{"process", getpid()},
                 {"process_start", process_start(system_files(), getpid()).value_or(0)},
                 {"written_unix_seconds", clock_.unix_seconds()},
                 {"model", runtime_.model().config().name},
                 {"file", runtime_.model().file().path()},
                 {"waiting", waiting},
                 {"spread", describe_spread(pool, view)},
                 {"prediction", forecast_.look(view)},
                 {"workers_lost", counters.workers_lost},
                 {"bytes_delivered", delivered},
                 {"remote_expert_calls", counters.dispatch.remote_unit_calls},
                 {"local_expert_calls", counters.dispatch.local_unit_calls},
                 {"wire_bytes", counters.wire_bytes},
                 {"counters", json_of(counters)},
                 {"devices", devices},
                 {"events", describe_events(events_.events())},
                 {"takes_strangers", pool.takes_strangers()},
                 {"open_invitations", pool.open_invitations()},
                 {"steady_seconds", std::chrono::duration<double>(clock_.now()).count()},
                 {"map_version", map_version_}});
  return status;
}

void PoolReporter::update_map(bool watched) {
  const TimePoint now = clock_.now();
  if (looked_at_ && now < *looked_at_ + kMapInterval) return;
  looked_at_ = now;
  const Duration interval = watched ? kHeatInterval : kUnwatchedInterval;
  const bool stale = mapped_at_ && now >= *mapped_at_ + interval;
  const auto map = runtime_.pool()->map(&fingerprint_, stale || !mapped_at_);
  if (!map) return;
  mapped_at_ = now;
  std::string text = json_text(describe_map(*map));
  if (text == map_) return;
  map_ = std::move(text);
  ++map_version_;
}

}  // namespace potluck
