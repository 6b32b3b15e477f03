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

}  // namespace

KvCache::KvCache(const ModelConfig& config, KvType type, uint32_t positions)
    : type_(type),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      value_dim_(config.value_dim),
      capacity_(round_up(positions, kAttentionChunk)),
      keys_(key_offset(config.layers, 0)),
      values_(value_offset(config.layers, 0)) {
  CHECK(positions > 0);
}

uint64_t KvCache::bytes_for(const ModelConfig& config, KvType type, uint32_t positions) {
  uint64_t heads = uint64_t{config.layers} * config.kv_heads;
  uint64_t dimensions = uint64_t{config.head_dim} + config.value_dim;
  return heads * dimensions * round_up<uint64_t>(positions, kAttentionChunk) * value_bytes(type);
}

uint64_t KvCache::key_offset(uint32_t layer, uint32_t kv_head) const {
  uint64_t head = uint64_t{layer} * kv_heads_ + kv_head;
  return head * capacity_ * head_dim_ * value_bytes(type_);
}

uint64_t KvCache::value_offset(uint32_t layer, uint32_t kv_head) const {
  uint64_t head = uint64_t{layer} * kv_heads_ + kv_head;
  return head * capacity_ * value_dim_ * value_bytes(type_);
}

void KvCache::set_length(uint32_t length) {
  CHECK(length <= capacity_);
  length_ = length;
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
