// One token of one head of a recurrent layer, whatever its kind; the mixers say where their numbers
// come from (delta_net.cpp, mamba.cpp). Pure, any thread.
#pragma once

#include <cstdint>

namespace potluck {

// S = decay S; the delta rule: d = (value - key S) beta, else d = value beta; S = S + key d;
// out = query S. Sums over key_dim are in sequence.
struct RecurrentStep {
  uint32_t key_dim;
  uint32_t value_dim;
  bool corrects;          // the delta rule
  const float* decays;    // one for each row of S, or
  uint32_t decay_stride;  // 0: one for all; else 1
  float beta;
  const float* query;  // [key_dim]
  const float* key;    // [key_dim]
  float* value;        // [value_dim]; used up

  // `before` may be `after`, [key_dim, value_dim]; out [value_dim] is scratch at first.
  void run(const float* before, float* after, float* out) const;

 private:
  void correct(const float* before, float* after, float* out) const;
  void add(const float* before, float* after, float* out) const;
};

}  // namespace potluck
