// The memory plan: what a model needs, weighed against what this process may use, before anything
// of it is read. Where everything fits, everything stays in memory; where it does not, the experts
// are streamed from disk through a cache that fits, and a line says why; where even that does not
// fit, the refusal says what would. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/process_limits.h"
#include "engine/model/context_plan.h"
#include "engine/model/model.h"
#include "engine/model/step_memory.h"

namespace potluck {

// What a worker process on this machine may take beside its --ram (worker/unit_compute.h).
inline constexpr uint64_t kWorkerBytes = 64 * kMiB;

// Bytes.
struct MemoryNeeds {
  uint64_t weights = 0;      // that every token uses
  uint64_t scratch = 0;      // while computing
  uint64_t experts = 0;      // all of them, laid out in memory; 0: a dense model
  uint64_t stored = 0;       // all of them, as on disk and in a cache
  uint64_t loading = 0;      // beside them, while they are laid out
  uint64_t expert_part = 0;  // the smallest cache there is: of one part of an expert
};

// `step` as the process will compute it.
MemoryNeeds memory_needs(const Model& model, const StepSize& step);

struct MemoryWish {
  uint32_t context = 0;  // positions; 0: as many as is reasonable
  KvType kv_type = KvType::kF16;
  uint64_t ram_bytes = 0;  // of --ram; 0: not given
};

struct MemoryPlan {
  uint32_t context = 0;
  uint64_t ram_bytes = 0;  // of the cache experts are streamed through; 0: they stay in memory
  std::string reason;      // why they are streamed without --ram; else empty
};

// For a process that computes the experts itself. kLimit: names the flag, or says how much memory
// would do.
Result<MemoryPlan> plan_memory(const ModelConfig& config, const MemoryNeeds& needs,
                               const MemoryWish& wish, const MemoryBound& available);

struct PoolNeeds {
  uint32_t local_workers = 0;      // processes on this machine
  uint64_t coordinator_bytes = 0;  // of its own, beside weights, scratch and cache
};

// For a coordinator whose experts are computed by workers: `ram_bytes` of the plan is that of every
// local worker. kLimit as above.
Result<MemoryPlan> plan_pool_memory(const ModelConfig& config, const MemoryNeeds& needs,
                                    const MemoryWish& wish, const PoolNeeds& pool,
                                    const MemoryBound& available);

}  // namespace potluck
