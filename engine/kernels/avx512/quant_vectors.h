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

// 2-bit quants, 0..3: two stored vectors to eight.
template <uint32_t kPanels>
static inline void unpack_pairs(const std::byte* from, uint64_t stride,
                                Int<kPanels> quants[kBlockVectors]) {
  for (uint32_t v = 0; v < 2; ++v) {
    Int<kPanels> pairs = load_vector<kPanels>(from + kVectorBytes * v, stride);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) quants[4 * v + j] = (pairs >> 2 * j) & 0x03030303;
  }
}

// One more bit of every quant, from one stored vector: bit j belongs to vector j.
template <int kBit, uint32_t kPanels>
static inline void add_bits(const std::byte* from, uint64_t stride,
                            Int<kPanels> quants[kBlockVectors]) {
  constexpr int32_t kMask = 0x01010101 << kBit;
  Int<kPanels> bits = load_vector<kPanels>(from, stride);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    quants[j] |= (j < kBit ? bits << (kBit - j) : bits >> (j - kBit)) & kMask;
  }
}

// The entries of a codebook of 16 that 4-bit quants stand for, each plus kOffset.
template <int kOffset, uint32_t kPanels>
static inline void look_up(const int8_t codebook[16], Int<kPanels> quants[kBlockVectors]) {
  __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(codebook));
  entries = _mm_add_epi8(entries, _mm_set1_epi8(static_cast<char>(kOffset)));
  for (uint32_t v = 0; v < kBlockVectors; ++v) quants[v] = shuffle_bytes(entries, quants[v]);
}

// Flipping the sign bit adds 128: signed bytes become unsigned.
template <uint32_t kPanels>
static inline void add_128(Int<kPanels> quants[kBlockVectors]) {
  constexpr auto kSigns = static_cast<int32_t>(0x80808080u);
  for (uint32_t v = 0; v < kBlockVectors; ++v) quants[v] ^= kSigns;
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
