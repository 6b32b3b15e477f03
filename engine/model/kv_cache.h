// KvCache: what one conversation keeps of its tokens, for all layers, on the coordinator only. Per
// chunk of positions, layer and KV head first the keys, then the values, as kv_format.h says:
//
//   [position / kAttentionChunk][layer][kv_head] of keys, values
//
// Layers that do not attend have no place there; their state is recurrent (recurrent_state.h).
// Address space is reserved for the whole context; memory is taken chunk by chunk as positions are
// filled, in whole huge pages, because all that belongs to a chunk lies together. Belongs to one
// session; one thread.
#pragma once

#include <cstdint>

#include "engine/base/buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"
#include "engine/model/recurrent_state.h"

namespace potluck {

class KvCache {
 public:
  // `positions`: at least 1. Throws OutOfMemory where even the address space is refused.
  KvCache(const ModelConfig& config, KvType type, uint32_t positions);

  KvType type() const { return type_; }
  uint32_t capacity() const { return capacity_; }
  // Positions [0, length) are filled in every layer.
  uint32_t length() const { return length_; }
  // Declares positions below `length` filled (after a step), or forgets those from `length` on. A
  // model with recurrent layers can only go where a step has ended or where rewind() would stop
  // (CHECK); 0 is always possible.
  void set_length(uint32_t length);
  // Goes back to `length`, or, if a recurrent state is not known there, to the nearest position
  // before it where it is (recurrent_state.h says which those are). Returns the new length: tokens
  // from there on must be computed again.
  uint32_t rewind(uint32_t length);
  // Where rewind() would stop.
  uint32_t reachable(uint32_t length) const { return recurrent_.reachable(length); }
  // Makes this cache, which must be empty (CHECK), hold the first positions of another one of the
  // same model and type: up to `length`, or to where copyable() stops. Returns the new length. A
  // step may be under way in the other one.
  uint32_t copy_prefix(const KvCache& from, uint32_t length);
  // The nearest position up to `length` from which a copy can go on. Without recurrent layers that
  // is any that is filled.
  uint32_t copyable(uint32_t length) const {
    return recurrent_.copyable(length < length_ ? length : length_);
  }
  // Keeps what is needed for a rewind() to the current length: worth calling where a prompt or a
  // message ends. Costs nothing in a model without recurrent layers.
  void checkpoint() { recurrent_.checkpoint(); }

  // Before advance(): see RecurrentState.
  void settle(ThreadPool& pool) { recurrent_.settle(pool); }
  // The state of a delta net layer, around a step that ends before position `end`.
  RecurrentState::Versions advance(uint32_t layer, uint32_t end) {
    return recurrent_.advance(slots_[layer], end);
  }

  // Stores one position of one layer and KV head, rounding to the cache's type (nearest even).
  void put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
           const float* value);

  // Keys and values of positions [chunk * kAttentionChunk, ..) for the attention kernel; the caller
  // sets which are visible, and the scale.
  AttentionChunk chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const;

  // What a position takes, and what a conversation takes regardless of length.
  static uint64_t bytes_per_position(const ModelConfig& config, KvType type);
  static uint64_t fixed_bytes(const ModelConfig& config);
  // All of it, when `positions` are filled: whole chunks.
  static uint64_t bytes_for(const ModelConfig& config, KvType type, uint32_t positions);

 private:
  uint64_t offset(uint32_t layer, uint32_t kv_head, uint32_t chunk) const;

  KvType type_;
  uint32_t kv_heads_;
  uint32_t head_dim_;
  uint32_t value_dim_;
  uint32_t capacity_;
  uint64_t key_bytes_;  // of one chunk of one KV head
  uint64_t value_bytes_;
  uint32_t length_ = 0;
  std::vector<uint32_t> slots_;  // [layers]: which of the layers of its kind it is
  uint32_t attention_layers_;
  Buffer memory_;
  RecurrentState recurrent_;
};

}  // namespace potluck
