// Unpacking and multiplying quants of 32 columns: eight vectors of 4 columns, one lane per row.
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx512/vector.h"

namespace potluck::avx512 {

inline constexpr uint32_t kVectorBytes = 32;  // of one panel
inline constexpr uint32_t kBlockVectors = 8;

// 4-bit quants, 0..15: four stored vectors to eight.
template <uint32_t kPanels>
static inline void unpack_nibbles(const std::byte* from, uint64_t stride,
                                  Int<kPanels> quants[kBlockVectors]) {
  for (uint32_t v = 0; v < 4; ++v) {
    Int<kPanels> pairs = load_vector<kPanels>(from + kVectorBytes * v, stride);
    quants[v] = pairs & 0x0f0f0f0f;
    quants[v + 4] = (pairs >> 4) & 0x0f0f0f0f;
  }
}

// sum + quants * x over 16 columns, four vectors.
template <uint32_t kPanels>
static inline Int<kPanels> dot16(Int<kPanels> sum, const Int<kPanels>* quants, const int8_t* x) {
  for (uint32_t v = 0; v < 4; ++v) {
    sum = dot_bytes(sum, quants[v], broadcast4<kPanels>(x + 4 * v));
  }
  return sum;
}

// sum + quants * x over 32 columns; two chains, so that one need not wait for the other.
template <uint32_t kPanels>
static inline Int<kPanels> dot32(Int<kPanels> sum, const Int<kPanels>* quants, const int8_t* x) {
  return dot16<kPanels>(sum, quants, x) + dot16<kPanels>(Int<kPanels>{}, quants + 4, x + 16);
}

}  // namespace potluck::avx512
