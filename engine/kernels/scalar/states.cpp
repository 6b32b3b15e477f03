// What layers keep from token to token, and the streams of a residual. The delta rule is that of
// Schlag et al. (2021), gated as in Gated DeltaNet (Yang et al., 2024); the plain sum is that of
// linear attention and state spaces (Dao and Gu, 2024). Columns of a state are independent, so the
// loops over a row of it may be vectors, and every sum over the keys is in sequence.
#include <algorithm>

#include "engine/base/limits.h"
#include "engine/kernels/exact_math.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::scalar {
namespace {

// Columns of the state that one pass over its rows takes.
constexpr uint32_t kColumns = 64;

struct Columns {
  uint32_t first;
  uint32_t count;
};

// One token and some columns of the state.
void recur_token(const RecurrentTokens& shape, const RecurrentToken& token, const Columns& columns,
                 const float* before, float* after) {
  float value[kColumns];
  float held[kColumns] = {};
  float out[kColumns] = {};
  auto row = [&](auto* state, uint32_t k) {
    return state + uint64_t{k} * shape.value_dim + columns.first;
  };
  for (uint32_t k = 0; k < shape.key_dim; ++k) {
    const float* from = row(before, k);
    float* to = row(after, k);
    const float decay = token.decays[shape.decays_by_key ? k : 0];
    for (uint32_t v = 0; v < columns.count; ++v) {
      to[v] = from[v] * decay;
      held[v] += to[v] * token.key[k];
    }
  }
  for (uint32_t v = 0; v < columns.count; ++v) {
    const float given = token.value[columns.first + v];
    value[v] = (shape.corrects ? given - held[v] : given) * token.beta;
  }
  for (uint32_t k = 0; k < shape.key_dim; ++k) {
    float* to = row(after, k);
    for (uint32_t v = 0; v < columns.count; ++v) {
      to[v] += token.key[k] * value[v];
      out[v] += to[v] * token.query[k];
    }
  }
  std::copy_n(out, columns.count, token.out + columns.first);
}

}  // namespace

void recur_columns(const RecurrentTokens& tokens, const float* before, float* after, uint32_t first,
                   uint32_t end) {
  for (const RecurrentToken& token : tokens.tokens) {
    for (uint32_t column = first; column < end; column += kColumns) {
      recur_token(tokens, token, {column, std::min(kColumns, end - column)}, before, after);
    }
    before = after;
  }
}

void recur(const RecurrentTokens& tokens, const float* before, float* after) {
  recur_columns(tokens, before, after, 0, tokens.value_dim);
}

void silu(float* x, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) x[i] = exact_silu(x[i]);
}

void sigmoid_gate(const float* gate, uint32_t count, float* x) {
  for (uint32_t i = 0; i < count; ++i) x[i] *= exact_sigmoid(gate[i]);
}

void add_scaled(float factor, const float* x, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

void mix_stream_values(const StreamMix& mix, const float* y, float* streams, uint32_t first,
                       uint32_t end) {
  const uint32_t n = mix.streams;
  for (uint32_t d = first; d < end; ++d) {
    float mixed[limits::kStreams];
    for (uint32_t j = 0; j < n; ++j) {
      mixed[j] = mix.weights[j] * y[d];
      for (uint32_t i = 0; i < n; ++i) {
        mixed[j] += mix.mixing[i * n + j] * streams[uint64_t{i} * mix.count + d];
      }
    }
    for (uint32_t j = 0; j < n; ++j) streams[uint64_t{j} * mix.count + d] = mixed[j];
  }
}

void mix_streams(const StreamMix& mix, const float* y, float* streams) {
  mix_stream_values(mix, y, streams, 0, mix.count);
}

void add_to_softmaxes(const float* gates, const float* offsets, const float* values, uint32_t count,
                      const RunningSoftmaxes& softmaxes) {
  for (uint32_t i = 0; i < count; ++i) {
    const float gate = gates[i] + offsets[i];
    float& largest = softmaxes.largest[i];
    float& sum = softmaxes.sum[i];
    float& total = softmaxes.total[i];
    if (sum == 0) {
      largest = gate;
      sum = 1;
      total = values[i];
    } else if (gate > largest) {
      const float factor = exact_exp(largest - gate);
      largest = gate;
      sum = sum * factor + 1.0F;
      total = total * factor + values[i];
    } else {
      const float factor = exact_exp(gate - largest);
      sum += factor;
      total += factor * values[i];
    }
  }
}

}  // namespace potluck::scalar
