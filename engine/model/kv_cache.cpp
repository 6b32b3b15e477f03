#include "engine/model/kv_cache.h"

#include <algorithm>

#include "engine/base/check.h"

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

KvCache::KvCache(const ModelConfig& config, KvType type, uint32_t positions)
    : type_(type),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      value_dim_(config.value_dim),
      capacity_(positions),
      key_bytes_(kAttentionChunk * kv_bytes(type, config.head_dim)),
      value_bytes_(kAttentionChunk * kv_bytes(type, config.value_dim)),
      attention_layers_(count_layers(config, &slots_).attention),
      recurrent_(count_layers(config, nullptr).recurrent, config.delta) {
  CHECK(positions > 0);
  uint64_t chunks = (uint64_t{positions} + kAttentionChunk - 1) / kAttentionChunk;
  memory_ = Buffer(chunks * kAttentionChunk * bytes_per_position(config, type),
                   "the KV cache (--ctx, --kv)");
}

uint64_t KvCache::bytes_per_position(const ModelConfig& config, KvType type) {
  uint64_t heads = uint64_t{count_layers(config, nullptr).attention} * config.kv_heads;
  return heads * (kv_bytes(type, config.head_dim) + kv_bytes(type, config.value_dim));
}

uint64_t KvCache::fixed_bytes(const ModelConfig& config) {
  return RecurrentState::bytes_for(count_layers(config, nullptr).recurrent, config.delta);
}

uint64_t KvCache::bytes_for(const ModelConfig& config, KvType type, uint32_t positions) {
  return fixed_bytes(config) +
         round_up<uint64_t>(positions, kAttentionChunk) * bytes_per_position(config, type);
}

uint64_t KvCache::offset(uint32_t layer, uint32_t kv_head, uint32_t chunk) const {
  uint64_t before = uint64_t{chunk} * attention_layers_ + slots_[layer];
  return (before * kv_heads_ + kv_head) * (key_bytes_ + value_bytes_);
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

uint32_t KvCache::copy_prefix(const KvCache& from, uint32_t length) {
  CHECK(length_ == 0 && type_ == from.type_ && attention_layers_ == from.attention_layers_ &&
        key_bytes_ == from.key_bytes_ && value_bytes_ == from.value_bytes_);
  uint32_t copied = from.copyable(length);
  CHECK(copied <= capacity_);
  // Chunk by chunk, whole, as all of a chunk lies together: what is beyond the length is written
  // again before it is read.
  uint64_t chunks = (uint64_t{copied} + kAttentionChunk - 1) / kAttentionChunk;
  uint64_t chunk_bytes = uint64_t{attention_layers_} * kv_heads_ * (key_bytes_ + value_bytes_);
  std::copy_n(from.memory_.data(), chunks * chunk_bytes, memory_.data());
  recurrent_.copy_from(from.recurrent_, copied);
  length_ = copied;
  return copied;
}

void KvCache::put(uint32_t layer, uint32_t kv_head, uint32_t position, const float* key,
                  const float* value) {
  CHECK(kv_head < kv_heads_ && position < capacity_);
  std::byte* keys = memory_.data() + offset(layer, kv_head, position / kAttentionChunk);
  store_key(type_, head_dim_, key, position % kAttentionChunk, keys);
  store_value(type_, value_dim_, value, position % kAttentionChunk, keys + key_bytes_);
}

AttentionChunk KvCache::chunk(uint32_t layer, uint32_t kv_head, uint32_t chunk) const {
  CHECK(uint64_t{chunk} * kAttentionChunk < capacity_);
  AttentionChunk view;
  view.type = type_;
  view.head_dim = head_dim_;
  view.value_dim = value_dim_;
  view.keys = memory_.data() + offset(layer, kv_head, chunk);
  view.values = view.keys + key_bytes_;
  return view;
}

}  // namespace potluck
