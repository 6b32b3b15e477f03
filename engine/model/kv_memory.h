// KvMemory: the memory of the KV caches of one model, in blocks of kKvBlockPositions positions. A
// block holds the keys and values of all layers for its positions; per layer and KV head first the
// keys, then the values, as kv_format.h says. Those of latent attention stand in the keys alone:
//
//   [layer] of [kv_head] of keys, values; then entries; then index keys, if the layer has an
//   indexer
//
// Layers of compressed attention have entries there instead of keys and values, one for so many
// positions, as rows of values (kv_format.h). What has no place there is recurrent
// (recurrent_state.h), or the keys and values of an earlier layer.
//
// Blocks are counted, never copied unasked: caches that begin alike hold the same ones, and what
// keeps them for later (a prefix cache) does so beside the caches. A block is free again once
// neither holds it. Address space is reserved for all blocks; memory is taken, in whole huge pages,
// as positions are filled. Shared by the caches that are made from it; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/base/check.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

namespace potluck {

// Attention reads one chunk at a time, so a block is a whole number of chunks; with one, the least
// is copied where two conversations part.
inline constexpr uint32_t kKvBlockPositions = kAttentionChunk;

// Blocks that hold so many positions.
constexpr uint32_t kv_blocks(uint32_t positions) {
  return static_cast<uint32_t>((uint64_t{positions} + kKvBlockPositions - 1) / kKvBlockPositions);
}

class KvMemory;

// A cache's hold on a block. Its memory must outlive it.
class KvBlock {
 public:
  KvBlock() = default;
  KvBlock(KvBlock&& other) noexcept { *this = std::move(other); }
  KvBlock& operator=(KvBlock&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(index_, other.index_);
    return *this;
  }
  KvBlock(const KvBlock&) = delete;
  KvBlock& operator=(const KvBlock&) = delete;
  ~KvBlock();

  KvBlock share() const;  // another hold on the same block
  uint32_t index() const { return index_; }
  std::byte* data() const { return data_; }
  // Whether nothing else holds or keeps it.
  bool is_alone() const;

 private:
  friend class KvMemory;
  KvBlock(KvMemory* memory, uint32_t index);

  KvMemory* memory_ = nullptr;
  std::byte* data_ = nullptr;
  uint32_t index_ = 0;
};

class KvMemory {
 public:
  // Throws OutOfMemory where even the address space is refused.
  KvMemory(const ModelConfig& config, KvType type, uint32_t blocks);
  KvMemory(const KvMemory&) = delete;
  KvMemory& operator=(const KvMemory&) = delete;

  // How a block is laid out.
  KvType type() const { return type_; }
  // How a layer's keys and values are stored.
  struct Heads {
    uint32_t count = 0;  // 0 where nothing is
    uint32_t head_dim = 0;
    uint32_t value_dim = 0;
    uint64_t key_bytes = 0;    // of one KV head
    uint64_t value_bytes = 0;  // 0 where a value is the first numbers of its key
    uint64_t offset = 0;       // in a block

    uint64_t head_bytes() const { return key_bytes + value_bytes; }
    uint64_t bytes() const { return count * head_bytes(); }
  };
  const Heads& heads(uint32_t layer) const { return heads_[layer]; }
  // Which of the layers of its kind, attention or recurrent, a layer is.
  uint32_t slot(uint32_t layer) const { return slots_[layer]; }
  // Of a layer of compressed attention: how many entries a block has, and where they stand.
  uint32_t entries(uint32_t layer) const { return entries_[layer]; }
  uint64_t entry_offset(uint32_t layer) const {
    return heads_[layer].offset + heads_[layer].bytes();
  }
  // Of a layer with an indexer: its keys, of positions or entries, as panels of float32 (panel.h).
  uint64_t index_offset(uint32_t layer) const { return entry_offset(layer) + entry_bytes_[layer]; }
  uint32_t index_keys(uint32_t layer) const {
    return entries_[layer] > 0 ? entries_[layer] : kKvBlockPositions;
  }
  uint32_t index_dimensions() const { return index_dimensions_; }
  uint64_t block_bytes() const { return block_bytes_; }

  uint32_t blocks() const { return static_cast<uint32_t>(states_.size()); }
  uint32_t free() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t taken() const { return blocks() - free(); }
  uint32_t held() const { return held_; }  // by caches; those that several hold count once

  // A free block; nothing if there is none. Its content is undefined.
  std::optional<KvBlock> take();
  // A cache's hold on a block that is taken (CHECK).
  KvBlock hold(uint32_t index);
  // Keeps a taken block beside the caches that hold it, or ends that. At most once for each block
  // (CHECK).
  void keep(uint32_t index);
  void drop(uint32_t index);
  bool is_held(uint32_t index) const { return states_[index].holds > 0; }
  bool is_kept(uint32_t index) const { return states_[index].is_kept; }
  std::byte* data(uint32_t index) { return memory_.data() + index * block_bytes_; }

  static uint64_t bytes_per_position(const ModelConfig& config, KvType type);
  static uint32_t recurrent_layers(const ModelConfig& config);

 private:
  friend class KvBlock;

  struct State {
    uint32_t holds = 0;
    bool is_kept = false;
  };

  void release(uint32_t index);
  void free_unless_used(uint32_t index);

  KvType type_;
  std::vector<Heads> heads_;           // [layers]
  std::vector<uint32_t> slots_;        // [layers]
  std::vector<uint32_t> entries_;      // [layers]
  std::vector<uint64_t> entry_bytes_;  // [layers], in a block
  uint32_t index_dimensions_ = 0;
  uint64_t block_bytes_ = 0;
  Buffer memory_;
  std::vector<State> states_;   // [blocks]
  std::vector<uint32_t> free_;  // the next one to be taken last
  uint32_t held_ = 0;
};

}  // namespace potluck
