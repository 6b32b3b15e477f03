// The smallest shapes that have a KV cache, for tests of what happens to whole caches.
#pragma once

#include "engine/model/kv_cache.h"

namespace potluck::test {

inline ModelConfig small_cache_shape() {
  ModelConfig config;
  config.layers = 1;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.value_dim = 8;
  return config;
}

// One layer has a recurrent state instead.
inline ModelConfig small_recurrent_shape() {
  ModelConfig config = small_cache_shape();
  config.layers = 2;
  config.full_attention_interval = 2;
  config.delta = {1, 1, 4, 4, 2, false, false};
  return config;
}

// As if a step had computed the positions up to `length`; the values of a recurrent state there say
// which position it is.
inline void fill(KvCache& cache, const ModelConfig& config, uint32_t length) {
  bool recurrent = KvMemory::recurrent_layers(config) > 0;
  if (recurrent && length > cache.length()) {
    RecurrentState::Versions state = cache.advance(0, length);
    std::fill_n(state.after, config.recurrent_shape().state_values(), static_cast<float>(length));
  }
  cache.set_length(length);
}

}  // namespace potluck::test
