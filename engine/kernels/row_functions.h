// Everything that works on one row of floats: the functions of KernelTable over the vectors V of
// any instruction set. One vector is the 8 lanes of the arithmetic contract. Ends that fill no
// vector go to the scalar kernels where elements do not touch each other, and are filled with zeros
// where lanes are summed. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/kernels/exact_math.h"
#include "engine/kernels/exp_constants.h"
#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/scalar/scalar.h"

namespace potluck::row_functions {

using tiles::OnePanelVectors;

inline constexpr uint32_t kLanes = 8;
inline constexpr uint32_t kLargestBlock = 256;
inline constexpr int32_t kInfinityBits = 0x7f800000;
inline constexpr float kInfinity = __builtin_inff();

template <OnePanelVectors V>
static inline typename V::Float all(float value) {
  return typename V::Float{} + value;
}

// exact_exp in every lane.
template <OnePanelVectors V>
static inline typename V::Float exact_exp(typename V::Float x) {
  using namespace exp_constants;
  using Float = typename V::Float;
  using Int = typename V::Int;
  Float shifted = x * kLog2E + kRound;
  Float n = shifted - kRound;
  Float r = (x - n * kLn2High) - n * kLn2Low;
  Float q = all<V>(kQ[4]);
  for (int i = 3; i >= 0; --i) q = q * r + kQ[i];
  Float p = (q * (r * r) + r) + 1.0F;
  Int exponent = V::as_int(shifted) - kRoundBits;
  Int half = exponent >> 1;
  Int rest = exponent - half;
  p = (p * V::as_float((half + 127) << 23)) * V::as_float((rest + 127) << 23);
  p = V::where_greater(x, all<V>(kHighest), all<V>(kInfinity), p);
  return V::where_greater(all<V>(kLowest), x, Float{}, p);
}

template <OnePanelVectors V>
static inline float lanes_sum(typename V::Float lanes) {
  float stored[kLanes];
  V::store_row(stored, lanes);
  return sum_lanes(stored);
}

// The largest number, -inf if there is none.
template <OnePanelVectors V>
static float largest(const float* scores, uint32_t count) {
  typename V::Float lanes = all<V>(-kInfinity);
  uint32_t i = 0;
  for (; i + kLanes <= count; i += kLanes) lanes = V::max(V::row_floats(scores + i), lanes);
  float stored[kLanes];
  V::store_row(stored, lanes);
  float max = stored[0];
  for (float lane : stored) max = lane > max ? lane : max;
  for (; i < count; ++i) max = scores[i] > max ? scores[i] : max;
  return max + 0.0F;
}

// A block of 32 or 256 values that is all there. The order of floats without sign is that of their
// bits, with infinity and then NaNs above all numbers. |x * inverse| is below 127.5.
template <OnePanelVectors V>
static inline void quantize_block(const float* x, uint32_t block, int8_t* quants, float* scale,
                                  int16_t* sums) {
  typename V::Int magnitudes{};
  for (uint32_t i = 0; i < block; i += kLanes) {
    magnitudes = V::max(V::as_int(V::row_floats(x + i)) & 0x7fffffff, magnitudes);
  }
  int32_t bits = V::largest_lane(magnitudes);
  float amax;
  __builtin_memcpy(&amax, &bits, sizeof amax);
  if (bits >= kInfinityBits || amax < 0x1p-100F) {
    *scale = bits >= kInfinityBits ? __builtin_nanf("") : 0.0F;
    __builtin_memset(quants, 0, block);
    __builtin_memset(sums, 0, block / 16 * sizeof(int16_t));
    return;
  }
  *scale = amax / 127.0F;
  float inverse = 127.0F / amax;
  for (uint32_t i = 0; i < block; i += 32) {
    typename V::Int rounded[4];
#pragma GCC unroll 4
    for (uint32_t v = 0; v < 4; ++v) {
      rounded[v] = V::round(V::row_floats(x + i + kLanes * v) * inverse);
    }
    V::store_quants(rounded, quants + i, sums + i / 16);
  }
}

template <OnePanelVectors V>
static void quantize(const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
                     int16_t* sums) {
  uint32_t begin = 0;
  for (; begin + block <= count; begin += block) {
    quantize_block<V>(x + begin, block, quants + begin, scales + begin / block, sums + begin / 16);
  }
  if (begin == count) return;
  float padded[kLargestBlock] = {};
  __builtin_memcpy(padded, x + begin, (count - begin) * sizeof(float));
  quantize_block<V>(padded, block, quants + begin, scales + begin / block, sums + begin / 16);
}

template <OnePanelVectors V>
static void rms_norm(const float* x, const float* weight, uint32_t count, float eps, float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  Float lanes{};
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float values = V::row_floats(x + i);
    lanes += values * values;
  }
  if (whole < count) {
    Float values = V::load_first(x + whole, count - whole);
    lanes += values * values;
  }
  float mean = lanes_sum<V>(lanes) / static_cast<float>(count);
  float scale = 1.0F / std::sqrt(mean + eps);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float scaled = V::row_floats(x + i) * scale;
    if (weight != nullptr) scaled = scaled * V::row_floats(weight + i);
    V::store_row(y + i, scaled);
  }
  for (uint32_t i = whole; i < count; ++i) {
    float scaled = x[i] * scale;
    y[i] = weight != nullptr ? scaled * weight[i] : scaled;
  }
}

template <OnePanelVectors V>
static void swiglu(const float* gate, const float* up, uint32_t count, float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float g = V::row_floats(gate + i);
    Float silu = g / (exact_exp<V>(-g) + 1.0F);
    V::store_row(y + i, silu * V::row_floats(up + i));
  }
  scalar::swiglu(gate + whole, up + whole, count - whole, y + whole);
}

template <OnePanelVectors V>
static void swiglu_oai(const float* gate, const float* up, uint32_t count, float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  Float limit = all<V>(7.0F);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float g = V::min(limit, V::row_floats(gate + i));
    Float u = V::max(all<V>(-7.0F), V::min(limit, V::row_floats(up + i)));
    Float activated = g / (exact_exp<V>(-(g * 1.702F)) + 1.0F);
    V::store_row(y + i, activated * (u + 1.0F));
  }
  scalar::swiglu_oai(gate + whole, up + whole, count - whole, y + whole);
}

template <OnePanelVectors V>
static inline typename V::Float clamp(typename V::Float x, typename V::Float limit) {
  return V::max(-limit, V::min(limit, x));
}

template <OnePanelVectors V>
static void swiglu_clamp_before(const float* gate, const float* up, float limit, uint32_t count,
                                float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  Float most = all<V>(limit);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float g = V::min(most, V::row_floats(gate + i));
    Float silu = g / (exact_exp<V>(-g) + 1.0F);
    V::store_row(y + i, silu * clamp<V>(V::row_floats(up + i), most));
  }
  scalar::swiglu_clamp_before(gate + whole, up + whole, limit, count - whole, y + whole);
}

template <OnePanelVectors V>
static void swiglu_clamp_after(const float* gate, const float* up, float limit, uint32_t count,
                               float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  Float most = all<V>(limit);
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float g = V::row_floats(gate + i);
    Float silu = V::min(most, g / (exact_exp<V>(-g) + 1.0F));
    V::store_row(y + i, silu * clamp<V>(V::row_floats(up + i), most));
  }
  scalar::swiglu_clamp_after(gate + whole, up + whole, limit, count - whole, y + whole);
}

template <OnePanelVectors V>
static void geglu(const float* gate, const float* up, uint32_t count, float* y) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float g = V::row_floats(gate + i);
    Float slope = (g * g) * scalar::kGeluCubic + scalar::kGeluLinear;
    Float activated = g / (exact_exp<V>(-(g * slope)) + 1.0F);
    V::store_row(y + i, activated * V::row_floats(up + i));
  }
  scalar::geglu(gate + whole, up + whole, count - whole, y + whole);
}

template <OnePanelVectors V>
static void reglu(const float* gate, const float* up, uint32_t count, float* y) {
  uint32_t whole = count - count % kLanes;
  for (uint32_t i = 0; i < whole; i += kLanes) {
    V::store_row(y + i, V::max(all<V>(0.0F), V::row_floats(gate + i)) * V::row_floats(up + i));
  }
  scalar::reglu(gate + whole, up + whole, count - whole, y + whole);
}

template <OnePanelVectors V>
static void relu_squared(const float* x, uint32_t count, float* y) {
  uint32_t whole = count - count % kLanes;
  for (uint32_t i = 0; i < whole; i += kLanes) {
    typename V::Float value = V::max(all<V>(0.0F), V::row_floats(x + i));
    V::store_row(y + i, value * value);
  }
  scalar::relu_squared(x + whole, count - whole, y + whole);
}

template <OnePanelVectors V>
static float exp_sum(float* x, uint32_t count, float max) {
  using Float = typename V::Float;
  uint32_t whole = count - count % kLanes;
  Float lanes{};
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float values = exact_exp<V>(V::row_floats(x + i) - max);
    V::store_row(x + i, values);
    lanes += values;
  }
  if (whole < count) {
    uint32_t rest = count - whole;
    Float values = exact_exp<V>(V::load_first(x + whole, rest) - max);
    V::store_rows(values, rest, x + whole);
    lanes += V::keep_first(values, rest);
  }
  return lanes_sum<V>(lanes);
}

// y * weight * 2^F is exact in float32 where it counts: what overflows is too large anyway, and
// what is below the normal numbers rounds to 0 anyway. Magnitudes are in the order of their bits,
// with infinity and then NaNs above all numbers.
template <OnePanelVectors V>
static bool accumulate(const float* y, uint32_t count, float weight, int32_t fraction_bits,
                       int64_t* sums) {
  using Float = typename V::Float;
  using Int = typename V::Int;
  constexpr int32_t kLimitBits = (46 + 127) << 23;
  static_assert(kAddendLimit == int64_t{1} << 46);
  // Other scales are no float32.
  const bool is_usual = fraction_bits >= -126 && fraction_bits <= 127;
  const uint32_t whole = is_usual ? count - count % kLanes : 0;
  const Float above = V::as_float(Int{} + (kLimitBits + 1));
  const Float scale = V::as_float(Int{} + (is_usual ? (fraction_bits + 127) << 23 : 0));
  Int magnitudes{};
  for (uint32_t i = 0; i < whole; i += kLanes) {
    Float scaled = (V::row_floats(y + i) * weight) * scale;
    Int magnitude = V::as_int(scaled) & 0x7fffffff;
    magnitudes = V::max(magnitude, magnitudes);
    V::add_rounded(V::where_greater(above, V::as_float(magnitude), scaled, Float{}), sums + i);
  }
  const bool flag = V::largest_lane(magnitudes) > kLimitBits;
  return scalar::accumulate(y + whole, count - whole, weight, fraction_bits, sums + whole) || flag;
}

}  // namespace potluck::row_functions
