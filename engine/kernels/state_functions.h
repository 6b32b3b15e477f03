// What layers keep from token to token, and the streams of a residual: functions of KernelTable
// over the vectors V of any instruction set. Lanes are columns, which do not touch each other;
// those that fill no vector go to the scalar kernels. Internal to engine/kernels; pure functions,
// any thread.
#pragma once

#include <cstdint>

#include "engine/base/limits.h"
#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/row_functions.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::state_functions {

using tiles::OnePanelVectors;
using tiles::PanelVectors;

template <PanelVectors V>
inline constexpr uint32_t kColumns = 8 * V::kPanels;

template <PanelVectors V>
static inline typename V::Float all(float value) {
  return typename V::Float{} + value;
}

template <OnePanelVectors V>
static void silu(float* x, uint32_t count) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kColumns<V>;
  for (uint32_t i = 0; i < whole; i += kColumns<V>) {
    Float value = V::row_floats(x + i);
    V::store_row(x + i, value / (row_functions::exact_exp<V>(-value) + 1.0F));
  }
  scalar::silu(x + whole, count - whole);
}

template <OnePanelVectors V>
static void sigmoid_gate(const float* gate, uint32_t count, float* x) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kColumns<V>;
  for (uint32_t i = 0; i < whole; i += kColumns<V>) {
    Float sigmoid = all<V>(1.0F) / (row_functions::exact_exp<V>(-V::row_floats(gate + i)) + 1.0F);
    V::store_row(x + i, V::row_floats(x + i) * sigmoid);
  }
  scalar::sigmoid_gate(gate + whole, count - whole, x + whole);
}

template <PanelVectors V>
static void add_scaled(float factor, const float* x, uint32_t count, float* y) {
  const uint32_t whole = count - count % kColumns<V>;
  for (uint32_t i = 0; i < whole; i += kColumns<V>) {
    V::store_row(y + i, V::row_floats(y + i) + V::row_floats(x + i) * factor);
  }
  scalar::add_scaled(factor, x + whole, count - whole, y + whole);
}

// kVectors vectors of columns of the state, from `first` on: few enough to stay in the first-level
// cache while all tokens pass.
template <PanelVectors V, uint32_t kVectors>
struct Columns {
  using Float = typename V::Float;

  const RecurrentTokens& shape;
  uint32_t first;
  Float value[kVectors];
  Float out[kVectors];

  float decay(const RecurrentToken& token, uint32_t k) const {
    return token.decays[shape.decays_by_key ? k : 0];
  }

  // S = decay S, value = (value - key S) beta.
  void correct(const RecurrentToken& token, const float* before, float* after) {
    Float held[kVectors] = {};
    for (uint32_t k = 0; k < shape.key_dim; ++k) {
      const float* from = before + uint64_t{k} * shape.value_dim + first;
      float* to = after + uint64_t{k} * shape.value_dim + first;
      const Float factor = all<V>(decay(token, k));
      const Float key = V::broadcast(token.key + k);
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        const Float decayed = V::row_floats(from + v * kColumns<V>) * factor;
        V::store_row(to + v * kColumns<V>, decayed);
        held[v] += decayed * key;
      }
    }
#pragma GCC unroll 4
    for (uint32_t v = 0; v < kVectors; ++v) value[v] = (value[v] - held[v]) * token.beta;
  }

  // S = S + key value (decayed first, unless correct() has done it), out = query S.
  template <bool kDecays>
  void add(const RecurrentToken& token, const float* before, float* after) {
    for (uint32_t k = 0; k < shape.key_dim; ++k) {
      const float* from = before + uint64_t{k} * shape.value_dim + first;
      float* to = after + uint64_t{k} * shape.value_dim + first;
      [[maybe_unused]] const Float factor = all<V>(kDecays ? decay(token, k) : 1.0F);
      const Float key = V::broadcast(token.key + k);
      const Float query = V::broadcast(token.query + k);
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        Float state = V::row_floats(from + v * kColumns<V>);
        if constexpr (kDecays) state = state * factor;
        state = state + key * value[v];
        V::store_row(to + v * kColumns<V>, state);
        out[v] += state * query;
      }
    }
  }

  void run(const float* before, float* after) {
    for (const RecurrentToken& token : shape.tokens) {
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        value[v] = V::row_floats(token.value + first + v * kColumns<V>);
        out[v] = Float{};
      }
      if (shape.corrects) {
        correct(token, before, after);
        add<false>(token, after, after);
      } else {
        for (Float& vector : value) vector = vector * token.beta;
        add<true>(token, before, after);
      }
#pragma GCC unroll 4
      for (uint32_t v = 0; v < kVectors; ++v) {
        V::store_row(token.out + first + v * kColumns<V>, out[v]);
      }
      before = after;
    }
  }
};

template <PanelVectors V>
static void recur(const RecurrentTokens& tokens, const float* before, float* after) {
  constexpr uint32_t kTogether = 4;
  uint32_t first = 0;
  for (; first + kTogether * kColumns<V> <= tokens.value_dim; first += kTogether * kColumns<V>) {
    Columns<V, kTogether>{tokens, first, {}, {}}.run(before, after);
  }
  for (; first + kColumns<V> <= tokens.value_dim; first += kColumns<V>) {
    Columns<V, 1>{tokens, first, {}, {}}.run(before, after);
  }
  scalar::recur_columns(tokens, before, after, first, tokens.value_dim);
}

// kStreams 0: as many as the mix says.
template <PanelVectors V, uint32_t kStreams>
static void mix_whole(const StreamMix& mix, const float* y, float* streams, uint32_t whole) {
  using Float = typename V::Float;
  const uint32_t n = kStreams != 0 ? kStreams : mix.streams;
  for (uint32_t d = 0; d < whole; d += kColumns<V>) {
    Float before[kStreams != 0 ? kStreams : limits::kStreams];
    for (uint32_t i = 0; i < n; ++i)
      before[i] = V::row_floats(streams + uint64_t{i} * mix.count + d);
    const Float output = V::row_floats(y + d);
    for (uint32_t j = 0; j < n; ++j) {
      Float mixed = output * mix.weights[j];
      for (uint32_t i = 0; i < n; ++i) mixed += before[i] * mix.mixing[i * n + j];
      V::store_row(streams + uint64_t{j} * mix.count + d, mixed);
    }
  }
}

template <PanelVectors V>
static void mix_streams(const StreamMix& mix, const float* y, float* streams) {
  const uint32_t whole = mix.count - mix.count % kColumns<V>;
  if (mix.streams == 4) {
    mix_whole<V, 4>(mix, y, streams, whole);
  } else {
    mix_whole<V, 0>(mix, y, streams, whole);
  }
  scalar::mix_stream_values(mix, y, streams, whole, mix.count);
}

template <OnePanelVectors V>
static void add_to_softmaxes(const float* gates, const float* offsets, const float* values,
                             uint32_t count, const RunningSoftmaxes& softmaxes) {
  using Float = typename V::Float;
  // Sums that are not 0 are 1 at least, or no numbers.
  const Float half = all<V>(0.5F);
  const uint32_t whole = count - count % kColumns<V>;
  for (uint32_t i = 0; i < whole; i += kColumns<V>) {
    const Float gate = V::row_floats(gates + i) + V::row_floats(offsets + i);
    const Float value = V::row_floats(values + i);
    const Float largest = V::row_floats(softmaxes.largest + i);
    const Float sum = V::row_floats(softmaxes.sum + i);
    const Float total = V::row_floats(softmaxes.total + i);
    const Float distance = V::where_greater(gate, largest, largest - gate, gate - largest);
    const Float factor = row_functions::exact_exp<V>(distance);
    Float m = V::where_greater(gate, largest, gate, largest);
    Float l = V::where_greater(gate, largest, sum * factor + 1.0F, sum + factor);
    Float t = V::where_greater(gate, largest, total * factor + value, total + factor * value);
    m = V::where_greater(half, sum, gate, m);
    l = V::where_greater(half, sum, all<V>(1.0F), l);
    t = V::where_greater(half, sum, value, t);
    V::store_row(softmaxes.largest + i, m);
    V::store_row(softmaxes.sum + i, l);
    V::store_row(softmaxes.total + i, t);
  }
  scalar::add_to_softmaxes(
      gates + whole, offsets + whole, values + whole, count - whole,
      {softmaxes.largest + whole, softmaxes.sum + whole, softmaxes.total + whole});
}

}  // namespace potluck::state_functions
