#include "engine/model/kv_memory.h"

namespace potluck {
namespace {

struct LayerCounts {
  uint32_t attention = 0;
  uint32_t recurrent = 0;
};

// Counts layers by kind; `slots`, if given, gets each layer's number among its kind.
LayerCounts count_layers(const ModelConfig& config, std::vector<uint32_t>* slots) {
  LayerCounts counts;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    bool recurrent = config.mixer(layer) == MixerKind::kDeltaNet;
    uint32_t slot = recurrent ? counts.recurrent++ : counts.attention++;
    if (slots != nullptr) slots->push_back(slot);
  }
  return counts;
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
    : type_(type),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      value_dim_(config.value_dim),
      key_bytes_(kKvBlockPositions * kv_bytes(type, config.head_dim)),
      value_bytes_(kKvBlockPositions * kv_bytes(type, config.value_dim)) {
  uint64_t layers = count_layers(config, &slots_).attention;
  block_bytes_ = layers * kv_heads_ * (key_bytes_ + value_bytes_);
  memory_ = Buffer(blocks * block_bytes_, "the KV cache (--ctx, --kv)");
  states_.resize(blocks);
  // In order: neighbors in a conversation are neighbors in memory, and share huge pages.
  for (uint32_t index = blocks; index > 0; --index) free_.push_back(index - 1);
}

uint64_t KvMemory::bytes_per_position(const ModelConfig& config, KvType type) {
  uint64_t heads = uint64_t{count_layers(config, nullptr).attention} * config.kv_heads;
  return heads * (kv_bytes(type, config.head_dim) + kv_bytes(type, config.value_dim));
}

uint32_t KvMemory::recurrent_layers(const ModelConfig& config) {
  return count_layers(config, nullptr).recurrent;
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
