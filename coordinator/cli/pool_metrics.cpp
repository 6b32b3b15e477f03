#include "coordinator/cli/pool_metrics.h"

namespace potluck {
namespace {

void write_pool_state(const PoolFigures& figures, MetricText* text) {
  text->begin("workers", "gauge", "Workers in the pool, by what they do.");
  text->sample("workers", "state=\"ready\"", figures.workers_ready);
  text->sample("workers", "state=\"fetching\"", figures.workers_fetching);
  text->counter("workers_lost_total", "Workers that were in the pool and left it.",
                figures.counters.workers_lost);
  text->gauge("units_assigned", "Units that workers are to hold.", figures.units_assigned);
  text->gauge("units_ready", "Units that workers are ready to compute.", figures.units_ready);
}

}  // namespace

PoolFigures pool_figures(Runtime& runtime) {
  PoolFigures figures;
  // These two take the loop's lock themselves.
  figures.counters = runtime.counters();
  figures.bytes_delivered = runtime.pool()->bytes_delivered();
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
}

}  // namespace potluck
