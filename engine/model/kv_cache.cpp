#include "engine/model/kv_cache.h"

#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr uint32_t kGroup = 8;  // positions whose keys stand side by side

uint64_t value_bytes(KvType type) {
  return type == KvType::kF32 ? sizeof(float) : sizeof(uint16_t);
}

// Writes values[i] to the element first + i * stride.
void put_values(KvType type, std::byte* to, uint64_t stride, const float* values, uint32_t count) {
  if (type == KvType::kF32) {
    for (uint32_t i = 0; i < count; ++i) store(to + i * stride * sizeof(float), values[i]);
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    store(to + i * stride * sizeof(uint16_t), float_to_half(values[i]));
  }
}

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

uint64_t state_values(const ModelConfig& config) {
  return config.delta.key_heads > 0 ? config.delta.state_values() : 0;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, KvType type, uint32_t positions)
    : type_(type),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      value_dim_(config.value_dim),
      capacity_(round_up(positions, kAttentionChunk)),
      recurrent_(count_layers(config, nullptr).recurrent, state_values(config)) {
  CHECK(positions > 0);
  uint64_t heads = uint64_t{count_layers(config, &slots_).attention} * kv_heads_;
  keys_ = Buffer(heads * capacity_ * head_dim_ * value_bytes(type_));
  values_ = Buffer(heads * capacity_ * value_dim_ * value_bytes(type_));
}

uint64_t KvCache::bytes_for(const ModelConfig& config, KvType type, uint32_t positions) {
  LayerCounts counts = count_layers(config, nullptr);
  uint64_t heads = uint64_t{counts.attention} * config.kv_heads;
  uint64_t dimensions = uint64_t{config.head_dim} + config.value_dim;
  return heads * dimensions * round_up<uint64_t>(positions, kAttentionChunk) * value_bytes(type) +
         RecurrentState::bytes_for(counts.recurrent, state_values(config));
}

uint64_t KvCache::key_offset(uint32_t layer, uint32_t kv_head) const {
  uint64_t head = uint64_t{slots_[layer]} * kv_heads_ + kv_head;
  return head * capacity_ * head_dim_ * value_bytes(type_);
}

uint64_t KvCache::value_offset(uint32_t layer, uint32_t kv_head) const {
  uint64_t head = uint64_t{slots_[layer]} * kv_heads_ + kv_head;
  return head * capacity_ * value_dim_ * value_bytes(type_);
}

void KvCache::set_length(uint32_t length) {
  CHECK(length <= capacity_);
  recurrent_.set_length(length);
  length_ = length;
}

uint32_t KvCache::rewind(uint32_t length) {
  CHECK(length <= length_);
  set_length(recurrent_.reachable(length));
  return length_;
}

void KvCache::put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
                  const float* value) {
  CHECK(kv_head < kv_heads_ && position < capacity_);
  uint64_t group = uint64_t{position / kGroup} * head_dim_ * kGroup + position % kGroup;
  put_values(type_, keys_.data() + key_offset(layer, kv_head) + group * value_bytes(type_), kGroup,
             key, head_dim_);
  uint64_t row = uint64_t{position} * value_dim_;
  put_values(type_, values_.data() + value_offset(layer, kv_head) + row * value_bytes(type_), 1,
             value, value_dim_);
}

AttentionChunk KvCache::chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const {
  uint64_t first = uint64_t{chunk} * kAttentionChunk;
  CHECK(first < capacity_);
  AttentionChunk view;
  view.type = type_;
  view.head_dim = head_dim_;
  view.value_dim = value_dim_;
  view.keys = keys_.data() + key_offset(layer, kv_head) + first * head_dim_ * value_bytes(type_);
  view.values =
      values_.data() + value_offset(layer, kv_head) + first * value_dim_ * value_bytes(type_);
  return view;
}

}  // namespace potluck
