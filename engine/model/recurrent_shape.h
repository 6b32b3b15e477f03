// RecurrentShape: what a recurrent layer carries from token to token: the last inputs of a causal
// convolution, a matrix S [key_dim, value_dim] for each head, and values of the mixer's own. Every
// kind of recurrent layer says its own in these terms, so that one state (recurrent_state.h) and
// one walk over the tokens (recurrent_rows.h) serve all. Plain value; any thread.
#pragma once

#include <cstdint>

namespace potluck {

struct RecurrentShape {
  uint32_t convolution =
      0;                   // tokens that the convolution sees, its own included; 0: no such layers
  uint32_t channels = 0;   // of the convolution
  uint32_t heads = 0;      // matrices; 0: there is only the convolution
  uint32_t key_heads = 0;  // heads that share keys and queries read the same ones
  uint32_t key_dim = 0;
  uint32_t value_dim = 0;
  bool tiled_heads = false;    // head h reads key head h mod key_heads, else h / (their ratio)
  bool values_first = false;   // channels are values, keys, queries; else queries, keys, values
  bool corrects = false;       // the delta rule; see StateKernels
  bool decays_by_key = false;  // every row of a matrix decays by a factor of its own
  uint32_t kept = 0;           // values that the mixer itself writes, token by token

  uint32_t key_columns() const { return key_heads * key_dim; }
  uint32_t value_columns() const { return heads * value_dim; }
  uint32_t query_offset() const { return values_first ? value_columns() + key_columns() : 0; }
  uint32_t key_offset() const { return values_first ? value_columns() : key_columns(); }
  uint32_t value_offset() const { return values_first ? 0 : 2 * key_columns(); }
  uint32_t decays_per_head() const { return decays_by_key ? key_dim : 1; }
  uint32_t key_head_of(uint32_t head) const {
    return tiled_heads ? head % key_heads : head / (heads / key_heads);
  }
  // float32 values of one layer's state: the convolution's past inputs, the matrices, what is kept.
  uint64_t history_values() const {
    return convolution == 0 ? 0 : uint64_t{convolution - 1} * channels;
  }
  uint64_t kept_offset() const { return history_values() + uint64_t{heads} * key_dim * value_dim; }
  uint64_t state_values() const { return kept_offset() + kept; }
};

}  // namespace potluck
