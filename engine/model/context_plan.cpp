// Memory for a context is linear in its positions, in whole chunks, beside a fixed part for
// recurrent layers: both ways of the plan are one division.
#include "engine/model/context_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// The most positions, whole chunks, that `bytes` hold.
uint64_t positions_in(const ModelConfig& config, KvType type, uint64_t bytes) {
  uint64_t fixed = KvCache::fixed_bytes(config);
  uint64_t chunk = KvCache::bytes_per_position(config, type) * kAttentionChunk;
  if (bytes < fixed) return 0;
  if (chunk == 0) return limits::kContext;
  return std::min<uint64_t>((bytes - fixed) / chunk * kAttentionChunk, limits::kContext);
}

std::string mebibytes(uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB);
}

}  // namespace

std::string_view kv_type_name(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kQ8_0:
      break;
  }
  return "q8_0";
}

Result<uint32_t> plan_context(const ModelConfig& config, const ContextWish& wish,
                              const MemoryBound& memory) {
  if (wish.positions > limits::kContext) {
    return Error{ErrorCode::kLimit, fmt::format("--ctx: at most {} positions, found {}",
                                                limits::kContext, wish.positions)};
  }
  uint64_t free = memory.bytes - std::min(memory.bytes, wish.other_bytes);
  if (wish.positions == 0) {
    uint64_t comfortable = positions_in(config, wish.type, free / 2);
    if (memory.source.empty()) comfortable = kModestContext;
    comfortable = std::max<uint64_t>(comfortable, kAttentionChunk);
    return static_cast<uint32_t>(std::min<uint64_t>(config.trained_context, comfortable));
  }
  uint64_t needed = KvCache::bytes_for(config, wish.type, wish.positions);
  if (needed <= free) return wish.positions;
  uint64_t fitting = positions_in(config, wish.type, free);
  std::string way_out = fitting > 0 ? fmt::format("--ctx {} would fit", fitting)
                                    : std::string("not even one chunk of positions would fit");
  if (wish.type != KvType::kQ8_0) {
    // An error about memory should name the flag that helps.
    uint64_t smaller = positions_in(config, KvType::kQ8_0, free);
    if (smaller > fitting) way_out += fmt::format(", with --kv q8_0 --ctx {}", smaller);
  }
  return Error{
      ErrorCode::kLimit,
      fmt::format("--ctx {}: the KV cache would take {} ({} bytes per position in {}), but "
                  "{} of memory are free for it ({}); {}",
                  wish.positions, mebibytes(needed), KvCache::bytes_per_position(config, wish.type),
                  kv_type_name(wish.type), mebibytes(free), memory.source, way_out)};
}

}  // namespace potluck
