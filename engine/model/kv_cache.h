// KvCache: keys and values of one conversation, for all layers, on the coordinator only. Keys stand
// in blocks of 8 positions so that a SIMD lane is a position; values row by row so that a lane is a
// dimension:
//
//   keys   [layer][kv_head][position / 8][head_dim][8]
//   values [layer][kv_head][position][value_dim]
//
// Memory is reserved for the whole context and becomes resident as positions are filled. Belongs to
// one session; one thread.
#pragma once

#include <cstdint>

#include "engine/base/buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

namespace potluck {

class KvCache {
 public:
  // `positions`, at least 1, is rounded up to a multiple of kAttentionChunk.
  KvCache(const ModelConfig& config, KvType type, uint32_t positions);

  KvType type() const { return type_; }
  uint32_t capacity() const { return capacity_; }
  // Positions [0, length) are filled in every layer.
  uint32_t length() const { return length_; }
  // Declares positions below `length` filled (after a step), or forgets those from `length` on.
  void set_length(uint32_t length);

  // Stores one position of one layer and KV head, rounding to the cache's type (nearest even).
  void put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
           const float* value);

  // Keys and values of positions [chunk * kAttentionChunk, ..) for the attention kernel; the caller
  // sets which are visible, and the scale.
  AttentionChunk chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const;

  static uint64_t bytes_for(const ModelConfig& config, KvType type, uint32_t positions);

 private:
  uint64_t key_offset(uint32_t layer, uint32_t kv_head) const;
  uint64_t value_offset(uint32_t layer, uint32_t kv_head) const;

  KvType type_;
  uint32_t kv_heads_;
  uint32_t head_dim_;
  uint32_t value_dim_;
  uint32_t capacity_;
  uint32_t length_ = 0;
  Buffer keys_;
  Buffer values_;
};

}  // namespace potluck
