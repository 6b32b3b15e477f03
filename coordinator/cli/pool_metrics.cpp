#include "coordinator/cli/pool_metrics.h"

#include "coordinator/runtime/pool_spread.h"

namespace potluck {
namespace {

void write_power(const PoolPower& power, MetricText* text) {
  text->gauge("power_watts", "What the devices that tell it take together.", power.watts);
  text->gauge("power_devices", "Devices that tell what they take.", power.devices);
  if (power.joules_per_token) {
    text->gauge("joules_per_token", "Of these devices, for each token written lately.",
                *power.joules_per_token);
  }
}

void write_pool_state(const PoolFigures& figures, MetricText* text) {
  text->begin("workers", "gauge", "Workers in the pool, by what they do.");
  text->sample("workers", "state=\"ready\"", figures.workers_ready);
  text->sample("workers", "state=\"fetching\"", figures.workers_fetching);
  text->counter("workers_lost_total", "Workers that were in the pool and left it.",
                figures.counters.workers_lost);
  text->gauges({
      {"devices_waiting", "Devices that wait to be admitted.", figures.devices_waiting},
      {"devices_known", "Devices that may connect, those that are away included.",
       figures.devices_known},
      {"open_invitations", "Invitations that were not used yet.", figures.open_invitations},
      {"takes_strangers", "Whether devices may ask to be admitted.", figures.takes_strangers},
      {"slices", "Parts of an expert that are placed by themselves.", figures.view.slices},
      {"calls_waiting", "Calls of experts that no device has at present.",
       figures.view.waiting_calls},
  });
  text->gauge("own_share_ratio", "Part of the experts' work that the coordinator does itself.",
              figures.view.own_share);
  if (figures.view.own) {
    text->gauge("own_ram_bytes", "Memory that the coordinator lends to experts.",
                figures.view.own->ram_bytes);
  }
  if (figures.expected_tokens_per_second) {
    text->gauge("expected_tokens_per_second", "Of one conversation, by the plan.",
                *figures.expected_tokens_per_second);
  }
  if (figures.power) write_power(*figures.power, text);
  text->gauge("units_assigned", "Units that workers are to hold.", figures.units_assigned);
  text->gauge("units_ready", "Units that workers are ready to compute.", figures.units_ready);
}

void write_spread(const SpreadFigures& spread, MetricText* text) {
  text->gauges({
      {"spread_complete", "Whether every unit had its copies once.", uint64_t{spread.complete}},
      {"spread_experts", "Experts of the model that is spread.", spread.experts},
      {"spread_experts_passed_on", "Of these, those that were read.", spread.experts_passed_on},
      {"spread_units_scarce", "Units that lack copies.", spread.scarce_units},
      {"spread_units_missing", "Units that no device has.", spread.missing_units},
  });
}

double metric_seconds(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e9;
}

// Where the time goes: what the dashboard draws.
void write_durations(const ExpertCounters& counters, MetricText* text) {
  const DispatchStatistics& dispatch = counters.dispatch;
  const LayerTimes& layers = counters.layers;
  const std::tuple<const char*, const char*, uint64_t> rows[] = {
      {"expert_compute_seconds_total", "Workers: their products.", dispatch.work.compute},
      {"expert_disk_seconds_total", "Workers: waiting for their disks.", dispatch.work.disk},
      {"expert_slowest_seconds_total", "The slowest worker of each layer.",
       dispatch.slowest_compute},
      {"expert_gather_seconds_total", "Checking and adding answers.", dispatch.gather},
      {"layer_dispatch_seconds_total", "Layers: handing work out.", layers.dispatch},
      {"layer_wait_seconds_total", "Layers: waiting for workers.", layers.wait},
      {"layer_local_seconds_total", "Layers: the coordinator's own experts.", layers.local},
      {"disk_reading_seconds_total", "This machine: reading experts.", counters.disk_reading},
  };
  for (const auto& [name, help, value] : rows) text->counter(name, help, metric_seconds(value));
}

}  // namespace

PoolFigures pool_figures(Runtime& runtime) {
  PoolFigures figures;
  // These take the loop's lock themselves.
  Pool& pool = *runtime.pool();
  figures.counters = runtime.counters();
  figures.bytes_delivered = pool.bytes_delivered();
  figures.view = pool.view();
  figures.devices_waiting = figures.view.waiting.size();
  figures.devices_known = pool.devices().size();
  figures.open_invitations = pool.open_invitations();
  figures.takes_strangers = pool.takes_strangers() ? 1 : 0;
  if (const auto progress = pool.spread_progress()) {
    const auto& counts = progress->counts;
    figures.spread = SpreadFigures{progress->complete, counts.total, counts.known, counts.scarce,
                                   counts.missing};
  }
  auto lock = runtime.pool()->lock();
  const ClusterState& cluster = runtime.pool()->cluster();
  for (const auto& [key, worker] : cluster.workers()) {
    bool is_ready = worker.ready.size() == worker.assigned.size();
    ++(is_ready ? figures.workers_ready : figures.workers_fetching);
  }
  figures.units_assigned = cluster.units_assigned();
  figures.units_ready = cluster.units_ready();
  return figures;
}

void write_pool_metrics(const PoolFigures& figures, MetricText* text) {
  write_pool_state(figures, text);
  const DispatchStatistics& dispatch = figures.counters.dispatch;
  const WorkCounters& work = dispatch.work;
  const char* calls = "expert_calls_total";
  text->begin(calls, "counter", "Units applied to rows, by who computed them.");
  text->sample(calls, "by=\"workers\"", dispatch.remote_unit_calls);
  text->sample(calls, "by=\"coordinator\"", dispatch.local_unit_calls);
  const char* troubles = "expert_requests_failed_total";
  text->begin(troubles, "counter",
              "What became of work that a worker was asked for and did not do in time or right.");
  text->sample(troubles, "outcome=\"retried\"", dispatch.retries);
  text->sample(troubles, "outcome=\"late\"", dispatch.late_replies);
  text->sample(troubles, "outcome=\"rejected_bad\"", dispatch.bad_replies);
  const char* compared = "expert_answers_compared_total";
  text->begin(compared, "counter", "Answers of workers that were compared, by with what.");
  text->sample(compared, "with=\"worker\"", dispatch.answers_alike);
  text->sample(compared, "with=\"own\"", dispatch.own_checks);
  text->counters({
      {"expert_answers_wrong_total", "Answers of workers found wrong.", dispatch.wrong_answers},
      {"expert_requests_hedged_total", "Messages sent because an answer was later than usual.",
       dispatch.hedges},
      {"expert_hedges_won_total", "Pieces of work whose answer came from these.",
       dispatch.hedges_won},
      {"expert_comparisons_total", "Messages sent so that two answers can be compared.",
       dispatch.comparisons},
      {"expert_own_check_calls_total", "Calls that the coordinator computed to compare answers.",
       dispatch.own_check_calls},
      {"layer_batches_total", "Layers with experts that were computed.",
       figures.counters.layers.batches},
      {"expert_prefetched_bytes_total", "Bytes read ahead of time.", work.prefetched_bytes},
      {"steps_repeated_total", "Steps computed again because of a wrong answer.",
       dispatch.steps_repeated},
      {"expert_requests_total", "Messages with work to workers.", dispatch.messages},
      {"round_trips_total", "Layers that needed workers.", dispatch.batches},
      {"wire_bytes_total", "Bytes of work and answers, both ways.", figures.counters.wire_bytes},
      {"shard_bytes_total", "Bytes of experts sent to workers.", figures.bytes_delivered},
      {"expert_cache_hits_total", "Grains that were in memory.", work.cache_hits},
      {"expert_cache_misses_total", "Grains that were not.", work.cache_misses},
      {"expert_disk_bytes_total", "Bytes of experts read from disks.", work.disk_bytes},
      {"expert_prefetches_used_total", "Grains read ahead of time that were needed.",
       work.prefetches_used},
      {"expert_prefetches_wasted_total", "Grains read ahead of time for nothing.",
       work.prefetches_wasted},
  });
  write_durations(figures.counters, text);
  if (figures.spread) write_spread(*figures.spread, text);
}

}  // namespace potluck
