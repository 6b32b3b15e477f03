// KvCache: what one conversation keeps of its tokens, for all layers, on the coordinator only: keys
// and values in blocks of positions (kv_memory.h), and the recurrent state of layers that do not
// attend (recurrent_state.h).
//
// Caches that begin alike share blocks. A block is only ever appended to, so a cache may go on
// writing into its last one while others read the positions before; a cache that did not write the
// last one itself copies it before it writes. Belongs to one session; one thread, that of its
// memory.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/model/kv_memory.h"
#include "engine/model/recurrent_state.h"

namespace potluck {

class KvCache {
 public:
  // With memory of its own. `positions`: at least 1. Throws OutOfMemory where even the address
  // space is refused.
  KvCache(const ModelConfig& config, KvType type, uint32_t positions);
  // Over memory that it shares, and that was made for the same configuration.
  KvCache(const ModelConfig& config, std::shared_ptr<KvMemory> memory, uint32_t positions);

  KvType type() const { return memory_->type(); }
  uint32_t capacity() const { return capacity_; }
  // Positions [0, length) are filled in every layer.
  uint32_t length() const { return length_; }
  // Takes the blocks for positions below `end`, at most the capacity (CHECK), and sees to it that
  // those from the length on may be written. False if there are not enough free blocks; the cache
  // is then as good as before.
  bool extend(uint32_t end);
  // Declares positions below `length` filled (after a step), or forgets those from `length` on,
  // whose blocks it gives back. A model with recurrent layers can only go where a step has ended or
  // where rewind() would stop (CHECK); 0 is always possible.
  void set_length(uint32_t length);
  // Goes back to `length`, or, if a recurrent state is not known there, to the nearest position
  // before it where it is (recurrent_state.h says which those are). Returns the new length: tokens
  // from there on must be computed again.
  uint32_t rewind(uint32_t length);
  // Forgets the positions of the last step from `length` on, and goes on writing where they stood:
  // to be called before any other cache has begun from them. A model with recurrent layers can only
  // do so after a step of RecurrentState::kLoggedRows at most (CHECK).
  void take_back(uint32_t length);
  // Makes this cache, which must be empty (CHECK), begin with the first positions of another one
  // over the same memory (CHECK): up to `length`, or to where copyable() stops. Returns the new
  // length. Only a recurrent state is copied. A step may be under way in the other one.
  uint32_t share_prefix(const KvCache& from, uint32_t length);
  // The nearest position up to `length` from which share_prefix() can go on. Without recurrent
  // layers that is any that is filled.
  uint32_t copyable(uint32_t length) const {
    return recurrent_.copyable(length < length_ ? length : length_);
  }
  // Makes this cache, which must be empty (CHECK), begin with `length` positions in these blocks.
  // `state`: that of the recurrent layers there; null without such layers.
  void begin(std::vector<KvBlock> blocks, uint32_t length, const RecurrentSnapshot* state);

  // Keeps what is needed for a rewind() to the current length: worth calling where a prompt or a
  // message ends. Returns it for others to begin from; null in a model without recurrent layers.
  std::shared_ptr<const RecurrentSnapshot> checkpoint() { return recurrent_.checkpoint(); }

  // Before advance(): see RecurrentState.
  void settle(ThreadPool& pool) { recurrent_.settle(pool); }
  // The state of a recurrent layer, around a step that ends before position `end`.
  RecurrentState::Versions advance(uint32_t layer, uint32_t end) {
    return recurrent_.advance(memory_->slot(layer), end);
  }

  // Stores one position of one layer and KV head, rounding to the cache's type (nearest even).
  // extend() has seen to the block (CHECK). `value` is not read where values stand in the keys.
  void put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
           const float* value);

  // Stores one entry of a layer of compressed attention, rounding to the cache's type; and reads it
  // back as it was rounded. [value_dim].
  void put_entry(uint32_t layer, uint32_t entry, const float* values);
  void read_entry(uint32_t layer, uint32_t entry, float* values) const;

  // Stores the key that a layer's indexer has of a position or an entry, as it is.
  void put_index_key(uint32_t layer, uint32_t index, std::span<const float> key);
  // Index keys of a chunk, as panels (panel.h): index_keys_per_chunk() rows of float32.
  uint32_t index_keys_per_chunk(uint32_t layer) const { return memory_->index_keys(layer); }
  const float* index_keys(uint32_t layer, uint32_t chunk) const;

  // Keys and values of positions [chunk * kAttentionChunk, ..) for the attention kernel; the caller
  // sets which are visible, and the scale. Where values stand in the keys `values` is null:
  // ChunkValues.
  AttentionChunk chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const;

  std::span<const KvBlock> blocks() const { return blocks_; }

  // What a position takes, and what a conversation takes regardless of length.
  static uint64_t bytes_per_position(const ModelConfig& config, KvType type);
  static uint64_t fixed_bytes(const ModelConfig& config);
  // All of it, when `positions` are filled: whole blocks.
  static uint64_t bytes_for(const ModelConfig& config, KvType type, uint32_t positions);

 private:
  bool own_last_block();

  std::shared_ptr<KvMemory> memory_;
  uint32_t capacity_;
  uint32_t length_ = 0;
  std::vector<KvBlock> blocks_;
  bool owns_last_ = true;  // the block at the length was written by this cache alone
  RecurrentState recurrent_;
};

}  // namespace potluck
