#include "coordinator/serving/runtime.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/model/context_plan.h"

namespace potluck {
namespace {

Progress stage(const StageProgress& progress, const std::string& name) {
  if (!progress) return nullptr;
  return [&progress, name](uint64_t done, uint64_t total) { progress(name, done, total); };
}

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::open(const RuntimeOptions& options, Storage& storage,
                                               const Clock& clock, Entropy& entropy,
                                               const StageProgress& progress) {
  Result<const KernelTable*> kernels = select_kernels(options.isa);
  if (!kernels) return kernels.error().in("--isa");
  auto model = Model::load(storage, options.model_path, stage(progress, "loading"));
  if (!model) return model.error();

  std::unique_ptr<Runtime> runtime(new Runtime(options, clock));
  runtime->kernels_ = *kernels;
  runtime->model_ = std::move(model).value();
  if (Status status = runtime->choose_context(); !status) return status.error();
  runtime->forward_ =
      std::make_unique<Forward>(*runtime->model_, *runtime->kernels_, runtime->threads_);
  if (options.pool) {
    auto pool = Pool::open(options.pool_options, *runtime->model_, *runtime->kernels_,
                           runtime->threads_, storage, clock, entropy, stage(progress, "hashing"));
    if (!pool) return pool.error();
    runtime->pool_ = std::move(pool).value();
    runtime->executor_ = &runtime->pool_->executor();
    return runtime;
  }
  if (Status status = runtime->open_local(storage, progress); !status) return status.error();
  return runtime;
}

// Before the experts are loaded: a context that does not fit is refused at once.
Status Runtime::choose_context() {
  Result<uint32_t> context =
      plan_context(model_->config(), {options_.context, options_.kv_type, expert_memory()},
                   available_memory(*options_.system));
  if (!context) return context.error();
  context_ = *context;
  return {};
}

// What the experts will take of this machine's memory, as far as it is known.
uint64_t Runtime::expert_memory() const {
  if (options_.pool)
    return options_.pool_options.local.ram_bytes * options_.pool_options.local_workers;
  uint64_t bytes = model_->cutter().total_bytes();
  return options_.stream.ram_bytes > 0 ? std::min(bytes, options_.stream.ram_bytes) : bytes;
}

Status Runtime::open_local(Storage& storage, const StageProgress& progress) {
  GrainSource* source = nullptr;
  if (options_.stream.ram_bytes > 0 && !model_->banks().empty()) {
    auto streamed = StreamedExperts::open(*model_, options_.stream, threads_, storage, clock_,
                                          stage(progress, "building the store"));
    if (!streamed) return streamed.error();
    streamed_ = std::move(streamed).value();
    source = &streamed_->source();
  } else {
    auto resident = ResidentSource::load(model_->cutter(), stage(progress, "loading experts"));
    if (!resident) return resident.error();
    resident_ = std::move(resident).value();
    source = resident_.get();
  }
  compute_ = std::make_unique<ExpertCompute>(*kernels_, threads_);
  local_executor_ = std::make_unique<LocalExecutor>(model_->cutter(), *source, *compute_);
  executor_ = local_executor_.get();
  return {};
}

void Runtime::add_stream_counters(ExpertCounters* counters) const {
  const CacheStatistics cache = streamed_->stored().statistics();
  counters->disk_bytes = cache.disk_bytes;
  counters->disk_nanoseconds = static_cast<uint64_t>(cache.waited.count());
  counters->disk_reading_nanoseconds = static_cast<uint64_t>(cache.reading.count());
  counters->cache_hits = cache.hits;
  counters->cache_misses = cache.misses;
  counters->guessed_bytes = cache.guessed_bytes;
  counters->guesses_used = cache.guesses_used;
  counters->guesses_wasted = cache.guesses_wasted;
}

ExpertCounters Runtime::counters() {
  ExpertCounters counters;
  if (streamed_ != nullptr) add_stream_counters(&counters);
  if (pool_ == nullptr) return counters;
  const DispatchStatistics dispatch = pool_->statistics();
  counters.workers_lost = pool_->workers_lost();
  auto dead_children =
      static_cast<uint32_t>(pool_->local_workers().started() - pool_->local_workers().running());
  counters.workers_lost = std::max(counters.workers_lost, dead_children);
  {
    auto lock = pool_->lock();
    const ClusterState& cluster = pool_->cluster();
    counters.workers = static_cast<uint32_t>(cluster.workers().size()) + cluster.workers_lost();
  }
  counters.remote_expert_calls = dispatch.remote_unit_calls;
  counters.local_expert_calls = dispatch.local_unit_calls;
  counters.round_trips = dispatch.batches;
  counters.wire_bytes = pool_->compute_bytes();
  counters.disk_bytes = dispatch.worker_timings.disk_bytes;
  counters.slowest_compute_nanoseconds = dispatch.slowest_compute;
  counters.gather_nanoseconds = dispatch.gather;
  counters.disk_nanoseconds = dispatch.worker_timings.disk;
  counters.cache_hits = dispatch.worker_timings.cache_hits;
  counters.cache_misses = dispatch.worker_timings.cache_misses;
  counters.guessed_bytes = dispatch.worker_timings.guessed_bytes;
  counters.guesses_used = dispatch.worker_timings.guesses_used;
  counters.guesses_wasted = dispatch.worker_timings.guesses_wasted;
  return counters;
}

}  // namespace potluck
