// The smallest shape that has a KV cache, for tests of what happens to whole caches.
#pragma once

#include "engine/model/config.h"

namespace potluck::test {

inline ModelConfig small_cache_shape() {
  ModelConfig config;
  config.layers = 1;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.value_dim = 8;
  return config;
}

}  // namespace potluck::test
