#include "engine/model/kv_memory.h"

#include "engine/base/bytes.h"

namespace potluck {
namespace {

// What a layer has in a block, but for its offset.
KvMemory::Heads stored_heads(const ModelConfig& config, KvType type, uint32_t layer) {
  const bool stores = attends(config.mixer(layer)) && config.kv_layer_of(layer) == layer;
  KvMemory::Heads heads;
  heads.count = stores ? config.kv_heads_of(layer) : 0;
  heads.head_dim = config.head_dim_of(layer);
  heads.value_dim = config.value_dim_of(layer);
  heads.key_bytes = kKvBlockPositions * kv_bytes(type, heads.head_dim);
  if (!config.values_in_keys(layer)) {
    heads.value_bytes = kKvBlockPositions * kv_bytes(type, heads.value_dim);
  }
  return heads;
}

// Entries of compressed attention that a layer has in a block.
uint32_t stored_entries(const ModelConfig& config, uint32_t layer) {
  const uint32_t ratio = config.compress_ratio(layer);
  return ratio == 0 ? 0 : kKvBlockPositions / ratio;
}

// Their bytes, padded to a whole number for each position.
uint64_t entry_bytes(const ModelConfig& config, KvType type, uint32_t layer) {
  return round_up<uint64_t>(
      stored_entries(config, layer) * kv_bytes(type, config.value_dim_of(layer)),
      kKvBlockPositions);
}

// Bytes of a block's index keys.
uint64_t index_bytes(const ModelConfig& config, uint32_t layer) {
  if (!config.has_indexer(layer)) return 0;
  const uint32_t entries = stored_entries(config, layer);
  return round_up<uint64_t>(
      (entries > 0 ? entries : kKvBlockPositions) * config.indexer.dimensions * sizeof(float),
      kKvBlockPositions);
}

}  // namespace

KvBlock::KvBlock(KvMemory* memory, uint32_t index)
    : memory_(memory), data_(memory->data(index)), index_(index) {}

KvBlock::~KvBlock() {
  if (memory_ != nullptr) memory_->release(index_);
}

KvBlock KvBlock::share() const {
  return memory_->hold(index_);
}

bool KvBlock::is_alone() const {
  const KvMemory::State& state = memory_->states_[index_];
  return state.holds == 1 && !state.is_kept;
}

KvMemory::KvMemory(const ModelConfig& config, KvType type, uint32_t blocks)
    : type_(type), index_dimensions_(config.indexer.dimensions) {
  uint32_t counts[3] = {0, 0, 0};  // attention, recurrent, neither
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    const MixerKind kind = config.mixer(layer);
    slots_.push_back(counts[attends(kind) ? 0 : is_recurrent(kind) ? 1 : 2]++);
    heads_.push_back(stored_heads(config, type, layer));
    heads_.back().offset = block_bytes_;
    block_bytes_ += heads_.back().bytes();
    entries_.push_back(stored_entries(config, layer));
    entry_bytes_.push_back(entry_bytes(config, type, layer));
    block_bytes_ += entry_bytes_.back() + index_bytes(config, layer);
  }
  memory_ = Buffer(blocks * block_bytes_, "the KV cache (--ctx, --kv)");
  states_.resize(blocks);
  // In order: neighbors in a conversation are neighbors in memory, and share huge pages.
  for (uint32_t index = blocks; index > 0; --index) free_.push_back(index - 1);
}

uint64_t KvMemory::bytes_per_position(const ModelConfig& config, KvType type) {
  uint64_t bytes = 0;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    bytes += stored_heads(config, type, layer).bytes() / kKvBlockPositions;
    bytes += (entry_bytes(config, type, layer) + index_bytes(config, layer)) / kKvBlockPositions;
  }
  return bytes;
}

uint32_t KvMemory::recurrent_layers(const ModelConfig& config) {
  uint32_t count = 0;
  for (uint32_t layer = 0; layer < config.layers; ++layer)
    count += is_recurrent(config.mixer(layer));
  return count;
}

std::optional<KvBlock> KvMemory::take() {
  if (free_.empty()) return std::nullopt;
  uint32_t index = free_.back();
  free_.pop_back();
  states_[index].holds = 1;
  ++held_;
  return KvBlock(this, index);
}

KvBlock KvMemory::hold(uint32_t index) {
  State& state = states_[index];
  CHECK(state.holds > 0 || state.is_kept);
  if (state.holds++ == 0) ++held_;
  return {this, index};
}

void KvMemory::release(uint32_t index) {
  if (--states_[index].holds > 0) return;
  --held_;
  free_unless_used(index);
}

void KvMemory::keep(uint32_t index) {
  State& state = states_[index];
  CHECK(state.holds > 0 && !state.is_kept);
  state.is_kept = true;
}

void KvMemory::drop(uint32_t index) {
  CHECK(states_[index].is_kept);
  states_[index].is_kept = false;
  free_unless_used(index);
}

void KvMemory::free_unless_used(uint32_t index) {
  if (states_[index].holds == 0 && !states_[index].is_kept) free_.push_back(index);
}

}  // namespace potluck
