// StateKernels: the arithmetic of what layers keep from token to token and of the streams of a
// residual, as functions. Only who holds a conversation needs them, so they stand beside the
// KernelTable that devices compare. The scalar ones are the definition; those of every other
// instruction set return the same bits, which tests check by comparing memory. Tables are
// constants; any thread.
//
// y += a * b below means: round the product, then round the sum (docs/ARITHMETIC.md).
#pragma once

#include <cstdint>
#include <span>

#include "engine/kernels/kernels.h"

namespace potluck {

// One token of one head of a recurrent layer.
struct RecurrentToken {
  const float* decays = nullptr;  // [key_dim], or one for all
  float beta = 1;
  const float* query = nullptr;  // [key_dim]
  const float* key = nullptr;    // [key_dim]
  const float* value = nullptr;  // [value_dim]
  float* out = nullptr;          // [value_dim]
};

// Tokens of one head that follow each other, whatever the layer's kind.
struct RecurrentTokens {
  uint32_t key_dim = 0;
  uint32_t value_dim = 0;
  bool corrects = false;       // the delta rule
  bool decays_by_key = false;  // each row of the state has its own
  std::span<const RecurrentToken> tokens;
};

// What hyper-connections make of n streams and a part's output.
struct StreamMix {
  uint32_t streams = 0;            // n, at most limits::kStreams
  uint32_t count = 0;              // values of a stream
  const float* weights = nullptr;  // [n]: of the output
  const float* mixing = nullptr;   // [n, n]: row i says where stream i goes
};

// Softmaxes that run over tokens, one for each channel: the largest gate so far, and relative to it
// the sum of weights and of weighted values. A sum of 0: there was no token yet.
struct RunningSoftmaxes {
  float* largest = nullptr;
  float* sum = nullptr;
  float* total = nullptr;
};

struct StateKernels {
  // x = silu(x); x = x * sigmoid(gate).
  void (*silu)(float* x, uint32_t count);
  void (*sigmoid_gate)(const float* gate, uint32_t count, float* x);

  // y += factor * x.
  void (*add_scaled)(float factor, const float* x, uint32_t count, float* y);

  // The state S [key_dim, value_dim] of one head of a recurrent layer, token by token:
  //   S = decay S; the delta rule: d = (value - key S) beta, else d = value beta; S = S + key d;
  //   out = query S. Sums over key_dim are in sequence.
  // The first token reads `before`, which may be `after`; `after` is where S is written.
  void (*recur)(const RecurrentTokens& tokens, const float* before, float* after);

  // X_j = weights_j y + sum over i, in sequence, of mixing_ij X_i; y [count], streams X [n, count].
  void (*mix_streams)(const StreamMix& mix, const float* y, float* streams);

  // One token, whose gate is g + offset; of each channel
  //   g > m:  e = exp(m - g): (m, l, t) = (g, l e + 1, t e + v)
  //   else    e = exp(g - m): (m, l, t) = (m, l + e, t + e v)
  // and (g, 1, v) of the first one.
  void (*add_to_softmaxes)(const float* gates, const float* offsets, const float* values,
                           uint32_t count, const RunningSoftmaxes& softmaxes);
};

// Those of a table's instruction set; of a table that select_kernels() does not know, the scalar
// ones.
const StateKernels& state_kernels(const KernelTable& table);

}  // namespace potluck
