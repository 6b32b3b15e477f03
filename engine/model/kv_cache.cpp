#include "engine/model/kv_cache.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/kernels/panel.h"
#include "engine/model/kv_price.h"

namespace potluck {

KvCache::KvCache(const ModelConfig& config, KvType type, uint32_t positions)
    : KvCache(config, std::make_shared<KvMemory>(config, type, kv_blocks(positions)), positions) {}

KvCache::KvCache(const ModelConfig& config, std::shared_ptr<KvMemory> memory, uint32_t positions)
    : memory_(std::move(memory)),
      capacity_(positions),
      recurrent_(KvMemory::recurrent_layers(config), config.recurrent_shape()) {
  CHECK(positions > 0);
}

uint64_t KvCache::bytes_per_position(const ModelConfig& config, KvType type) {
  return KvMemory::bytes_per_position(config, type);
}

uint64_t KvCache::fixed_bytes(const ModelConfig& config) {
  return RecurrentState::bytes_for(KvMemory::recurrent_layers(config), config.recurrent_shape());
}

uint64_t KvCache::bytes_for(const ModelConfig& config, KvType type, uint32_t positions) {
  return KvPrice(config, type).of(positions);
}

bool KvCache::extend(uint32_t end) {
  CHECK(end <= capacity_);
  if (end > length_ && !own_last_block()) return false;
  while (blocks_.size() < kv_blocks(end)) {
    std::optional<KvBlock> block = memory_->take();
    if (!block) return false;
    blocks_.push_back(std::move(*block));
  }
  return true;
}

// What it did not write itself it must not write into: others read there, or have written other
// positions behind the length.
bool KvCache::own_last_block() {
  if (owns_last_ || length_ % kKvBlockPositions == 0) return owns_last_ = true;
  KvBlock& last = blocks_[length_ / kKvBlockPositions];
  if (!last.is_alone()) {
    std::optional<KvBlock> copy = memory_->take();
    if (!copy) return false;
    std::copy_n(last.data(), memory_->block_bytes(), copy->data());
    last = std::move(*copy);
  }
  return owns_last_ = true;
}

void KvCache::set_length(uint32_t length) {
  CHECK(length <= capacity_);
  if (length > length_) {
    CHECK(extend(length));
  } else if (length < length_) {
    // From the last one on: what is taken next lies in order again.
    while (blocks_.size() > kv_blocks(length)) blocks_.pop_back();
    owns_last_ = false;  // others may have begun behind the new length
  }
  recurrent_.set_length(length);
  length_ = length;
}

uint32_t KvCache::rewind(uint32_t length) {
  CHECK(length <= length_);
  set_length(recurrent_.reachable(length));
  return length_;
}

// The step has made the block its own in which it began, and those behind it.
void KvCache::take_back(uint32_t length) {
  CHECK(length <= length_);
  while (blocks_.size() > kv_blocks(length)) blocks_.pop_back();
  recurrent_.set_length(length);
  length_ = length;
}

uint32_t KvCache::share_prefix(const KvCache& from, uint32_t length) {
  CHECK(length_ == 0 && memory_ == from.memory_);
  uint32_t shared = from.copyable(length);
  CHECK(shared <= capacity_);
  recurrent_.copy_from(from.recurrent_, shared);
  blocks_.clear();
  for (uint32_t i = 0; i < kv_blocks(shared); ++i) blocks_.push_back(from.blocks_[i].share());
  owns_last_ = false;
  length_ = shared;
  return shared;
}

void KvCache::begin(std::vector<KvBlock> blocks, uint32_t length, const RecurrentSnapshot* state) {
  CHECK(length_ == 0 && length <= capacity_ && blocks.size() == kv_blocks(length));
  recurrent_.begin(length, state);
  blocks_ = std::move(blocks);
  owns_last_ = false;
  length_ = length;
}

void KvCache::put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
                  const float* value) {
  const KvMemory::Heads& heads = memory_->heads(layer);
  CHECK(kv_head < heads.count && position / kKvBlockPositions < blocks_.size());
  std::byte* keys =
      blocks_[position / kKvBlockPositions].data() + heads.offset + kv_head * heads.head_bytes();
  uint32_t place = position % kAttentionChunk;
  store_key(type(), heads.head_dim, key, place, keys);
  if (heads.value_bytes == 0) return;
  store_value(type(), heads.value_dim, value, place, keys + heads.key_bytes);
}

void KvCache::put_entry(uint32_t layer, uint32_t entry, const float* values) {
  const uint32_t entries = memory_->entries(layer);
  CHECK(entries > 0 && entry / entries < blocks_.size());
  std::byte* first = blocks_[entry / entries].data() + memory_->entry_offset(layer);
  store_value(type(), memory_->heads(layer).value_dim, values, entry % entries, first);
}

void KvCache::read_entry(uint32_t layer, uint32_t entry, float* values) const {
  const uint32_t entries = memory_->entries(layer);
  CHECK(entries > 0 && entry / entries < blocks_.size());
  const std::byte* first = blocks_[entry / entries].data() + memory_->entry_offset(layer);
  load_value(type(), memory_->heads(layer).value_dim, first, entry % entries, values);
}

void KvCache::put_index_key(uint32_t layer, uint32_t index, std::span<const float> key) {
  const uint32_t keys = memory_->index_keys(layer);
  CHECK(key.size() == memory_->index_dimensions() && index / keys < blocks_.size());
  std::byte* block = blocks_[index / keys].data() + memory_->index_offset(layer);
  const uint64_t place = index % keys;
  float* panel = reinterpret_cast<float*>(block) + place / kPanelRows * kPanelRows * key.size();
  for (size_t d = 0; d < key.size(); ++d) panel[d * kPanelRows + place % kPanelRows] = key[d];
}

const float* KvCache::index_keys(uint32_t layer, uint32_t chunk) const {
  CHECK(chunk < blocks_.size());
  return reinterpret_cast<const float*>(blocks_[chunk].data() + memory_->index_offset(layer));
}

AttentionChunk KvCache::chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const {
  static_assert(kKvBlockPositions == kAttentionChunk);
  const KvMemory::Heads& heads = memory_->heads(layer);
  CHECK(kv_head < heads.count && chunk < blocks_.size());
  AttentionChunk view;
  view.type = type();
  view.head_dim = heads.head_dim;
  view.value_dim = heads.value_dim;
  view.keys = blocks_[chunk].data() + heads.offset + kv_head * heads.head_bytes();
  if (heads.value_bytes > 0) view.values = view.keys + heads.key_bytes;
  return view;
}

}  // namespace potluck
