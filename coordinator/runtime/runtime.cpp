#include "coordinator/runtime/runtime.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/runtime/memory_plan.h"
#include "coordinator/spread/spread_model.h"
#include "engine/base/format_bytes.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// Besides the pool's: those of readers, sockets and signals; and what each reserves.
constexpr uint32_t kOtherThreads = 12;
constexpr uint64_t kStackBytes = 8 * kMiB;

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
  std::unique_ptr<Runtime> runtime(new Runtime(options, clock));
  runtime->kernels_ = *kernels;
  if (Status status = runtime->check_threads(); !status) return status.error();
  Status opened = guard_memory(options.model_path,
                               [&] { return runtime->open_parts(storage, entropy, progress); });
  if (!opened) return opened.error();
  if (Status traced = runtime->start_trace(storage); !traced) return traced.error();
  return runtime;
}

Status Runtime::start_trace(Storage& storage) {
  if (options_.trace_path.empty()) return {};
  auto file = TraceFile::open(storage, options_.trace_path);
  if (!file) return file.error();
  trace_ = std::make_unique<RequestTrace>(*executor_, pool_.get(), clock_, std::move(*file));
  // A trace shows one step at a time: there is one Forward then.
  forwards_.front()->set_observer(trace_.get());
  executor_ = trace_.get();
  return {};
}

Result<Digest> Runtime::fingerprint() const {
  const SpreadModel* spread = options_.pool_options.spread;
  return spread != nullptr ? Result<Digest>(spread->fingerprint()) : model_->file().fingerprint();
}

Status Runtime::finish_trace() {
  return trace_ == nullptr ? Status() : trace_->finish();
}

// Results do not depend on the number of threads: unless the user gave it, it may be smaller.
Status Runtime::check_threads() const {
  if (threads_.started()) return {};
  Error error = threads_.started().error().in("--threads");
  if (options_.threads_given) return error;
  log_to(options_.stream.log, {LogLevel::kWarning, "runtime", error.message});
  return {};
}

Status Runtime::open_parts(Storage& storage, Entropy& entropy, const StageProgress& progress) {
  auto model = Model::open(storage, options_.model_path);
  if (!model) return model.error();
  model_ = std::move(model).value();
  // First of all: a model that does not fit is refused in a moment, not after minutes of reading.
  if (Status planned = plan(); !planned) return planned;
  bool streams = !options_.pool && options_.stream.ram_bytes > 0 && !model_->banks().empty();
  if (streams) {
    if (Status opened = stream_experts(storage, progress); !opened) return opened;
  }
  if (Status loaded = model_->load_weights(stage(progress, "loading")); !loaded) return loaded;
  for (uint32_t i = 0; i < steps(); ++i) {
    owned_forwards_.push_back(std::make_unique<Forward>(*model_, *kernels_, threads_));
    forwards_.push_back(owned_forwards_.back().get());
  }
  if (!options_.pool) return open_local(progress);
  auto pool = Pool::open(options_.pool_options, *model_, *kernels_, threads_, storage, clock_,
                         entropy, stage(progress, "hashing"));
  if (!pool) return pool.error();
  pool_ = std::move(pool).value();
  executor_ = &pool_->executor();
  return {};
}

uint32_t Runtime::steps() const {
  return options_.trace_path.empty() ? std::max<uint32_t>(1, options_.steps) : 1;
}

// Before anything of the model but its description is read.
Status Runtime::plan() {
  const uint32_t wished = options_.prefill_chunk;
  const uint32_t chunk = wished > 0 ? wished : PrefillChunk::kUsual;
  const uint32_t positions = options_.context > 0 ? options_.context : chunk;
  const bool drafts = options_.speculation != SpeculationRule::kOff;
  StepSize step{std::min(chunk, positions), options_.logit_rows + (drafts ? kMostDraftedRows : 0),
                static_cast<uint32_t>(threads_.threads())};
  MemoryNeeds needs = memory_needs(*model_, step);
  needs.scratch *= steps();
  MemoryBound available = process_limits(*options_.system).available;
  // Under such limits (ulimit -v, ulimit -d) memory that is only reserved counts as well.
  if (available.source.starts_with("ulimit")) {
    uint64_t stacks = (step.threads + kOtherThreads) * kStackBytes;
    available.bytes -= std::min(available.bytes, stacks);
  }
  PoolOptions& pool = options_.pool_options;
  MemoryWish wish{options_.context, options_.kv_type,
                  options_.pool ? pool.local.ram_bytes : options_.stream.ram_bytes};
  // Where memory is short, less of the last resort is kept; one expert at a time always works.
  pool.last_resort_bytes = std::min({pool.last_resort_bytes, needs.stored, available.bytes / 8});
  pool.own_bytes = std::min(pool.own_bytes, needs.stored);
  uint64_t coordinator = pool.last_resort_bytes + pool.own_bytes + needs.loading;
  Result<MemoryPlan> plan = options_.pool
                                ? plan_pool_memory(model_->config(), needs, wish,
                                                   {pool.local_workers, coordinator}, available)
                                : plan_memory(model_->config(), needs, wish, available);
  if (!plan) return plan.error();
  context_ = plan->context;
  streaming_reason_ = plan->reason;
  (options_.pool ? pool.local.ram_bytes : options_.stream.ram_bytes) = plan->ram_bytes;
  uint64_t workers = pool.local_workers * (std::min(plan->ram_bytes, needs.stored) + kWorkerBytes);
  const uint64_t others = needs.weights + needs.scratch + coordinator + workers;
  kv_bytes_ = plan_kv_bytes(others, available);
  const uint64_t cache = options_.pool ? 0 : std::min(plan->ram_bytes, needs.stored);
  const uint64_t taken = std::min(available.bytes, others + kv_bytes_ + cache);
  prefill_chunk_ =
      wished > 0 ? PrefillChunk::exactly(wished)
                 : plan_prefill_chunk(model_->config(), step, steps(), available.bytes - taken);
  return {};
}

// Several conversations at a time are worth half of the memory that is left; the rest is for the
// kernel's buffers and for other programs.
uint64_t Runtime::plan_kv_bytes(uint64_t others, const MemoryBound& available) const {
  uint64_t one = KvCache::bytes_for(model_->config(), options_.kv_type, context_);
  if (options_.steps <= 1 || !options_.pool || available.source.empty()) return one;
  return std::max(one, (available.bytes - std::min(available.bytes, others)) / 2);
}

Status Runtime::stream_experts(Storage& storage, const StageProgress& progress) {
  StreamOptions stream = options_.stream;
  stream.reason = streaming_reason_;
  auto streamed = StreamedExperts::open(*model_, stream, threads_, storage, clock_,
                                        stage(progress, "building the store"));
  if (!streamed && streaming_reason_.empty()) return streamed.error();
  if (!streamed) return streamed.error().in(streaming_reason_ + " and cannot be streamed");
  streamed_ = std::move(streamed).value();
  return {};
}

Status Runtime::open_local(const StageProgress& progress) {
  GrainSource* source = nullptr;
  if (streamed_ != nullptr) {
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

void Runtime::add_pool_counters(ExpertCounters* counters) {
  // A worker that died before it joined was never a member, so membership lost nothing.
  uint64_t dead_children = pool_->local_workers().started() - pool_->local_workers().running();
  counters->workers_lost = std::max<uint64_t>(pool_->workers_lost(), dead_children);
  counters->wire_bytes = pool_->compute_bytes();
  counters->dispatch = pool_->statistics();
  // Not before: the calls above take it themselves, and it is not recursive.
  auto lock = pool_->lock();
  counters->layers = pool_->layer_times();
  const ClusterState& cluster = pool_->cluster();
  counters->workers = cluster.workers().size() + cluster.workers_lost();
}

void Runtime::wait_for_memory() {
  if (streamed_ != nullptr) streamed_->stored().wait_for_memory();
}

ExpertCounters Runtime::counters() {
  ExpertCounters counters;
  if (streamed_ != nullptr) {
    StoreCounters store = streamed_->stored().statistics();
    counters.dispatch.work = store.work;
    counters.disk_reading = store.reading;
  }
  if (pool_ != nullptr) add_pool_counters(&counters);
  return counters;
}

}  // namespace potluck
