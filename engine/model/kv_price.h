// KvPrice: what the cache of a conversation takes of memory, by its length. Plain value; any
// thread.
#pragma once

#include "engine/model/kv_cache.h"

namespace potluck {

struct KvPrice {
  uint64_t fixed = 0;         // bytes, regardless of the length
  uint64_t per_position = 0;  // bytes; positions are taken in whole blocks

  KvPrice() = default;
  KvPrice(uint64_t fixed_bytes, uint64_t bytes_per_position)
      : fixed(fixed_bytes), per_position(bytes_per_position) {}
  KvPrice(const ModelConfig& config, KvType type)
      : fixed(KvCache::fixed_bytes(config)),
        per_position(KvCache::bytes_per_position(config, type)) {}

  uint64_t of_blocks(uint32_t blocks) const {
    return uint64_t{blocks} * kKvBlockPositions * per_position;
  }
  uint64_t of(uint32_t positions) const { return fixed + of_blocks(kv_blocks(positions)); }
};

}  // namespace potluck
