// How long a conversation may become: what was asked for, what the model was trained for and what
// memory holds, weighed before anything is computed. Pure functions, any thread.
#pragma once

#include <string_view>

#include "engine/base/process_limits.h"
#include "engine/base/result.h"
#include "engine/model/kv_cache.h"

namespace potluck {

// The default where nothing says how much memory there is, and what a conversation should have at
// least before experts stay in memory.
inline constexpr uint32_t kModestContext = 4096;

struct ContextWish {
  uint32_t positions = 0;  // 0: as long as is reasonable
  KvType type = KvType::kF16;
  uint64_t other_bytes = 0;  // of the available memory, what something else is going to take
};

// Without a wish: the model's trained context, at most what half of the available memory holds.
// With one: that, or an error with the figure that would fit.
Result<uint32_t> plan_context(const ModelConfig& config, const ContextWish& wish,
                              const MemoryBound& memory);

// "f16" and so on, as --kv takes it.
std::string_view kv_type_name(KvType type);

}  // namespace potluck
