#include "coordinator/runtime/memory_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"
#include "engine/experts/grain_source.h"

namespace potluck {
namespace {

// Of what is left for a cache: the rest is for page tables, for the kernel's buffers and for
// others.
constexpr uint64_t kShareTaken = 7;
constexpr uint64_t kShareOf = 8;
constexpr uint64_t kSlabBytes = 4096;  // the least, see stored_source.cpp

uint64_t minus(uint64_t from, uint64_t taken) {
  return from - std::min(from, taken);
}

// The KV cache of the context that was asked for, or of a modest one.
uint64_t usual_cache(const ModelConfig& config, const MemoryWish& wish) {
  uint32_t modest = std::max(std::min(config.trained_context, kModestContext), 1U);
  return KvCache::bytes_for(config, wish.kv_type, wish.context > 0 ? wish.context : modest);
}

// The smallest there is.
uint64_t least_cache(const ModelConfig& config, const MemoryWish& wish) {
  return KvCache::bytes_for(config, wish.kv_type, kAttentionChunk);
}

ContextWish context_wish(const MemoryWish& wish, uint64_t others) {
  return {wish.context, wish.kv_type, others};
}

std::string left(const MemoryBound& available) {
  return fmt::format("{} can be had ({})", format_bytes(available.bytes), available.source);
}

std::string list_needs(const ModelConfig& config, const MemoryNeeds& needs,
                       const MemoryWish& wish) {
  return fmt::format(
      "{} of weights that every token uses, {} of experts, {} of KV cache and {} of "
      "working memory",
      format_bytes(needs.weights), format_bytes(needs.experts),
      format_bytes(usual_cache(config, wish)), format_bytes(needs.scratch));
}

// Nothing that could be moved to disk would help.
Error does_not_fit(std::string_view what, const ModelConfig& config, const MemoryNeeds& needs,
                   const MemoryWish& wish, const MemoryBound& available, uint64_t experts) {
  uint64_t cache = least_cache(config, wish);
  return {
      ErrorCode::kLimit,
      fmt::format("{} at least {} of memory: {} of weights that every token uses, {} of KV "
                  "cache, {} of working memory and {} of experts at a time; {}. A smaller --ctx "
                  "or --prefill-chunk takes less",
                  what, format_bytes(needs.weights + cache + needs.scratch + experts),
                  format_bytes(needs.weights), format_bytes(cache), format_bytes(needs.scratch),
                  format_bytes(experts), left(available))};
}

// --ram was given. Its size is for its owner to choose, as long as it can be had at all.
Result<MemoryPlan> plan_given_ram(const ModelConfig& config, const MemoryNeeds& needs,
                                  const MemoryWish& wish, const MemoryBound& available) {
  uint64_t ram = std::min(wish.ram_bytes, needs.stored);
  uint64_t fixed = needs.weights + needs.scratch;
  uint64_t others = fixed + least_cache(config, wish);
  if (others + ram > available.bytes) {
    uint64_t fitting = minus(available.bytes, others) / kMiB;
    std::string advice = fitting > 0 ? fmt::format("--ram {}MiB would fit", fitting)
                                     : "the model does not fit this memory with any --ram";
    return Error{ErrorCode::kLimit,
                 fmt::format("--ram: {} of experts and {} of weights, KV cache and working memory "
                             "take {}, but {}; {}",
                             format_bytes(ram), format_bytes(others), format_bytes(others + ram),
                             left(available), advice)};
  }
  Result<uint32_t> context = plan_context(config, context_wish(wish, fixed + ram), available);
  if (!context) return context.error();
  return MemoryPlan{*context, wish.ram_bytes, {}};
}

// The experts stay on disk without --ram: a quarter of what the weights leave is for the context,
// unless the user gave one, and most of the rest for a cache of experts. A context cannot grow
// later, while a smaller cache is only slower.
Result<MemoryPlan> plan_streaming(const ModelConfig& config, const MemoryNeeds& needs,
                                  const MemoryWish& wish, const MemoryBound& available) {
  uint64_t fixed = needs.weights + needs.scratch;
  uint64_t least_experts = std::max(needs.expert_part, needs.loading);
  uint64_t least = fixed + least_experts + least_cache(config, wish);
  if (least > available.bytes) {
    return does_not_fit("even with the experts on disk the model needs", config, needs, wish,
                        available, least_experts);
  }
  uint64_t rest = available.bytes - fixed;
  // Twice the share, since plan_context() uses half of what it is given; the second bound leaves
  // what one expert takes.
  uint64_t for_context = std::min(rest / 2, 2 * (rest - least_experts));
  MemoryBound bound = available;
  if (wish.context == 0) bound.bytes = fixed + for_context;
  uint64_t others = wish.context > 0 ? fixed + least_experts : fixed;
  Result<uint32_t> context = plan_context(config, context_wish(wish, others), bound);
  if (!context) return context.error();
  uint64_t cache = KvCache::bytes_for(config, wish.kv_type, *context);
  uint64_t ram = minus(rest, cache) / kShareOf * kShareTaken;
  // Never less than computing one expert takes.
  ram = std::max(std::min(ram, needs.stored) / kMiB * kMiB, least_experts);
  return MemoryPlan{*context, ram,
                    fmt::format("the model does not fit into memory ({}; {})",
                                list_needs(config, needs, wish), left(available))};
}

}  // namespace

MemoryNeeds memory_needs(const Model& model, const StepSize& step) {
  const GrainCutter& cutter = model.cutter();
  MemoryNeeds needs;
  needs.weights = model.weight_bytes();
  needs.scratch = step_memory(model.config(), step);
  needs.experts = ResidentSource::bytes_for(cutter);
  needs.stored = cutter.total_bytes();
  for (const ExpertBank& bank : cutter.banks()) {
    const ChunkPlan& plan = cutter.plan(bank.layer);
    uint64_t slab = std::max(largest_grain_bytes(bank.shape, plan), kSlabBytes);
    needs.expert_part = std::max(needs.expert_part, slab);
    // Each thread has one expert as it is in the file and as it is laid out.
    needs.loading =
        std::max(needs.loading, 2 * cutter.expert_bytes(bank.layer) * uint64_t{step.threads});
  }
  return needs;
}

Result<MemoryPlan> plan_memory(const ModelConfig& config, const MemoryNeeds& needs,
                               const MemoryWish& wish, const MemoryBound& available) {
  if (wish.ram_bytes > 0 && needs.experts > 0) {
    return plan_given_ram(config, needs, wish, available);
  }
  // While loading, an expert is there twice; so it has to fit with what is needed later, or the
  // model would be refused after minutes of reading.
  uint64_t others = needs.weights + needs.scratch + needs.experts + needs.loading;
  uint64_t all = others + usual_cache(config, wish);
  // Where the system tells no limit, everything is tried in memory.
  if (available.source.empty() || all <= available.bytes) {
    Result<uint32_t> context = plan_context(config, context_wish(wish, others), available);
    if (!context) return context.error();
    return MemoryPlan{*context, 0, {}};
  }
  if (needs.experts > 0) return plan_streaming(config, needs, wish, available);
  if (others + least_cache(config, wish) > available.bytes) {
    return does_not_fit("the model needs", config, needs, wish, available, 0);
  }
  Result<uint32_t> context = plan_context(config, context_wish(wish, others), available);
  if (!context) return context.error();
  return MemoryPlan{*context, 0, {}};
}

Result<MemoryPlan> plan_pool_memory(const ModelConfig& config, const MemoryNeeds& needs,
                                    const MemoryWish& wish, const PoolNeeds& pool,
                                    const MemoryBound& available) {
  uint64_t fixed = needs.weights + needs.scratch + pool.coordinator_bytes;
  uint64_t own = fixed + least_cache(config, wish);
  if (own > available.bytes) {
    return does_not_fit("the coordinator needs", config, needs, wish, available,
                        pool.coordinator_bytes);
  }
  uint64_t workers = pool.local_workers;
  if (workers == 0) {
    Result<uint32_t> context = plan_context(config, context_wish(wish, fixed), available);
    if (!context) return context.error();
    return MemoryPlan{*context, wish.ram_bytes, {}};
  }
  // Room for all experts in each worker, since it may have to stand in for the others.
  uint64_t everything = needs.stored + 16 * needs.expert_part;
  uint64_t wanted_cache = usual_cache(config, wish);
  uint64_t rest = minus(available.bytes, fixed + wanted_cache) / kShareOf * kShareTaken;
  uint64_t share = minus(rest / workers, kWorkerBytes);
  uint64_t ram = wish.ram_bytes > 0 ? wish.ram_bytes : std::min(everything, share);
  uint64_t taken = workers * (std::min(ram, everything) + kWorkerBytes);
  bool fits = wish.ram_bytes > 0 ? own + taken <= available.bytes : ram >= needs.expert_part;
  if (!fits) {
    return Error{
        ErrorCode::kLimit,
        fmt::format("--workers {}: the coordinator needs {} of memory and each worker {} "
                    "beside its --ram of {}, but {}; fewer --workers, a smaller --ram or a "
                    "smaller --ctx take less",
                    workers, format_bytes(own), format_bytes(kWorkerBytes),
                    format_bytes(std::max(std::min(ram, everything), needs.expert_part)),
                    left(available))};
  }
  Result<uint32_t> context = plan_context(config, context_wish(wish, fixed + taken), available);
  if (!context) return context.error();
  return MemoryPlan{*context, ram, {}};
}

}  // namespace potluck
