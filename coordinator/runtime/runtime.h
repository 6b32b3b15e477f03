// Runtime: everything one process needs to run a model, put together: model, kernels, threads, and
// the executor that computes its experts: in this process (all in memory, or streamed from disk
// when a memory budget is set) or in a pool. This is where the parts get their dependencies. One
// thread; in `serve`, forwards() and the executor belong to the EngineThread while it runs, the
// rest to the owner.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/runtime/generation_context.h"
#include "coordinator/runtime/pool.h"
#include "coordinator/runtime/prefill_chunk.h"
#include "coordinator/runtime/request_trace.h"
#include "coordinator/runtime/speculation_rule.h"
#include "coordinator/runtime/streamed_experts.h"
#include "engine/base/process_limits.h"

namespace potluck {

struct RuntimeOptions {
  std::string model_path;
  int threads = 1;
  bool threads_given = false;  // the user asked for this number: fewer will not do
  uint32_t context = 0;        // 0: the model's own, or less if memory is short: see plan_memory()
  KvType kv_type = KvType::kF16;
  StreamOptions stream;  // ram_bytes 0: solo, everything in memory if it fits there
  uint32_t slices = 1;
  uint32_t prefill_chunk = 0;  // 0: chosen by memory and disks, see prefill_chunk.h
  uint32_t logit_rows = 1;     // tokens of a step whose logits are wanted, at most
  uint32_t steps = 1;          // under way at the same time, at most
  SpeculationRule speculation = SpeculationRule::kOff;
  std::string isa;
  const SystemFiles* system = nullptr;  // tells what this process may use; must be set
  bool pool = false;                    // experts are computed by workers
  PoolOptions pool_options;
  std::string trace_path;  // where to write what each layer's time went to; empty: nowhere
};

// Told about long pieces of work: what is done ("loading", "delivering units"), how far it is.
using StageProgress = std::function<void(const std::string& stage, uint64_t done, uint64_t total)>;

// What the expert side did since the start.
struct ExpertCounters {
  uint64_t workers = 0;  // that took part
  uint64_t workers_lost = 0;
  uint64_t wire_bytes = 0;      // compute channel, both ways
  uint64_t disk_reading = 0;    // nanoseconds; solo: while reads of a layer were under way
  DispatchStatistics dispatch;  // solo: the work alone, done by this process itself
  LayerTimes layers;            // of batches that went to a pool

  static constexpr auto counters() {
    using Set = ExpertCounters;
    return std::tuple(Counter{"workers", &Set::workers, CounterKind::kGauge},
                      Counter{"workers_lost", &Set::workers_lost},
                      Counter{"wire_bytes", &Set::wire_bytes},
                      Counter{"disk_reading_ns", &Set::disk_reading}, CounterGroup{&Set::dispatch},
                      CounterGroup{&Set::layers});
  }
};

class Runtime {
 public:
  // References must outlive the runtime. What the model needs is weighed first: without --ram its
  // experts are streamed if they do not fit into memory, and a notice says so. kLimit when that is
  // no way out either, before anything but the model's description was read.
  static Result<std::unique_ptr<Runtime>> open(const RuntimeOptions& options, Storage& storage,
                                               const Clock& clock, Entropy& entropy,
                                               const StageProgress& progress);

  const Model& model() const { return *model_; }
  const KernelTable& kernels() const { return *kernels_; }
  // After the last use of generation(): ends the trace, if there is one.
  Status finish_trace();
  GenerationContext generation() { return {*model_, *forwards_.front(), *executor_, clock_}; }
  // As many as steps may be under way; all over this executor.
  std::span<Forward* const> forwards() const { return forwards_; }
  ExpertExecutor& executor() { return *executor_; }
  const Clock& clock() const { return clock_; }
  // Waits until the memory of the cache of experts is prepared, which goes on beside the first
  // tokens otherwise: for measurements.
  void wait_for_memory();
  PrefillChunk prefill_chunk() const { return prefill_chunk_; }
  // What the caches of all conversations may take together: enough for one as long as the context,
  // and more where several steps are wanted and there is memory.
  uint64_t kv_bytes() const { return kv_bytes_; }
  uint32_t context() const { return context_; }
  KvType kv_type() const { return options_.kv_type; }
  SpeculationRule speculation() const { return options_.speculation; }
  KvCache new_cache() const { return {model_->config(), options_.kv_type, context_}; }
  Pool* pool() { return pool_.get(); }
  // Names the model's content; what was derived from it may be kept under this name.
  Result<Digest> fingerprint() const;
  // Counts children that have died as lost, too.
  ExpertCounters counters();

 private:
  Runtime(const RuntimeOptions& options, const Clock& clock)
      : options_(options), clock_(clock), threads_(options.threads) {}
  Status check_threads() const;
  uint32_t steps() const;
  uint64_t plan_kv_bytes(uint64_t others, const MemoryBound& available) const;
  Status plan();
  Status open_parts(Storage& storage, Entropy& entropy, const StageProgress& progress);
  Status stream_experts(Storage& storage, const StageProgress& progress);
  Status start_trace(Storage& storage);
  Status open_local(const StageProgress& progress);
  void add_pool_counters(ExpertCounters* counters);

  RuntimeOptions options_;
  const Clock& clock_;
  ThreadPool threads_;
  const KernelTable* kernels_ = nullptr;
  uint32_t context_ = 0;
  uint64_t kv_bytes_ = 0;
  PrefillChunk prefill_chunk_;
  std::string streaming_reason_;  // why experts are streamed without --ram; or empty
  std::unique_ptr<Model> model_;
  std::unique_ptr<ResidentSource> resident_;   // solo, everything in memory
  std::unique_ptr<StreamedExperts> streamed_;  // solo, from disk
  std::unique_ptr<ExpertCompute> compute_;
  std::unique_ptr<LocalExecutor> local_executor_;
  std::unique_ptr<Pool> pool_;
  std::vector<std::unique_ptr<Forward>> owned_forwards_;
  std::vector<Forward*> forwards_;
  std::unique_ptr<RequestTrace> trace_;  // or null
  ExpertExecutor* executor_ = nullptr;
};

}  // namespace potluck
