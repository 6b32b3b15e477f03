// One token of one head of the gated delta net; see delta_net.cpp for what it means. Pure, any
// thread.
#pragma once

#include <cstdint>

namespace potluck {

// S = decay S; d = (value - key S) beta; S = S + key d; out = query S, with sums over key_dim in
// sequence.
struct DeltaStep {
  uint32_t key_dim;
  uint32_t value_dim;
  float decay;
  float beta;
  const float* query;  // [key_dim]
  const float* key;    // [key_dim]
  float* value;        // [value_dim]; used up

  // `before` may be `after`, [key_dim, value_dim]; out [value_dim] is scratch at first.
  void run(const float* before, float* after, float* out) const;
};

}  // namespace potluck
