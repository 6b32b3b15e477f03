// Unpacking the quants of 32 columns from the planes in which panel.h stores them. Always inlined,
// like what adds the products of a block: otherwise its vectors go through memory where each is a
// pair of registers. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/panel_vectors.h"

namespace potluck::tiles {

// 1-bit quants, 0 or 2: one stored vector to eight.
template <PanelVectors V>
static inline void unpack_signs(const std::byte* from, uint64_t stride,
                                typename V::Int quants[kBlockVectors]) {
  typename V::Int bits = V::load_vector(from, stride);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) quants[j] = (j == 0 ? bits << 1 : bits >> (j - 1)) & 0x02020202;
}

// 4-bit quants, 0..15: four stored vectors to eight.
template <PanelVectors V>
[[gnu::always_inline]] static inline void unpack_nibbles(const std::byte* from, uint64_t stride,
                                                         typename V::Int quants[kBlockVectors]) {
  for (uint32_t v = 0; v < 4; ++v) {
    typename V::Int pairs = V::load_vector(from + kVectorBytes * v, stride);
    quants[v] = pairs & 0x0f0f0f0f;
    quants[v + 4] = (pairs >> 4) & 0x0f0f0f0f;
  }
}

// 2-bit quants, 0..3: two stored vectors to eight.
template <PanelVectors V>
[[gnu::always_inline]] static inline void unpack_pairs(const std::byte* from, uint64_t stride,
                                                       typename V::Int quants[kBlockVectors]) {
  for (uint32_t v = 0; v < 2; ++v) {
    typename V::Int pairs = V::load_vector(from + kVectorBytes * v, stride);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) quants[4 * v + j] = (pairs >> 2 * j) & 0x03030303;
  }
}

// One more bit of every quant, from one stored vector: bit j belongs to vector j.
template <PanelVectors V, int kBit>
[[gnu::always_inline]] static inline void add_bits(const std::byte* from, uint64_t stride,
                                                   typename V::Int quants[kBlockVectors]) {
  constexpr int32_t kMask = 0x01010101 << kBit;
  typename V::Int bits = V::load_vector(from, stride);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    quants[j] |= (j < kBit ? bits << (kBit - j) : bits >> (j - kBit)) & kMask;
  }
}

// Two more bits of quants of 4, from two stored vectors.
template <PanelVectors V>
[[gnu::always_inline]] static inline void add_pairs_of_bits(const std::byte* from, uint64_t stride,
                                                            typename V::Int quants[kBlockVectors]) {
  constexpr int32_t kMask = 0x30303030;
  for (uint32_t v = 0; v < 2; ++v) {
    typename V::Int pairs = V::load_vector(from + kVectorBytes * v, stride);
    typename V::Int* four = quants + 4 * v;
    four[0] |= (pairs << 4) & kMask;
    four[1] |= (pairs << 2) & kMask;
    four[2] |= pairs & kMask;
    four[3] |= (pairs >> 2) & kMask;
  }
}

// The entries of a codebook of 16 that 4-bit quants stand for, each plus kOffset.
template <PanelVectors V, int kOffset>
[[gnu::always_inline]] static inline void look_up(const int8_t codebook[16],
                                                  typename V::Int quants[kBlockVectors]) {
  for (uint32_t v = 0; v < kBlockVectors; ++v) {
    quants[v] = V::template look_up<kOffset>(codebook, quants[v]);
  }
}

// Eight exponents of MXFP4 of each panel: exponent_to_float() of each. The larger of the two terms
// is the right one for normal and for subnormal results, so no lane has to branch.
template <PanelVectors V>
static inline typename V::Float load_exponents(const std::byte* from, uint64_t stride) {
  typename V::Int e = V::load_unsigned(from, stride);
  return V::as_float(V::max((e - 1) << 2, e + 1) << 21);
}

// Eight scales of NVFP4 of each panel: small_float_units() of each. The bits of the code stand
// where a float has its exponent and mantissa, which is right but for subnormal codes (below 8):
// those take the next exponent, and are 8 too large then.
template <PanelVectors V>
static inline typename V::Float load_small_floats(const std::byte* from, uint64_t stride) {
  typename V::Int code = V::load_unsigned(from, stride) & 0x7f;
  typename V::Int subnormal = (code - 8) >> 31;
  constexpr int32_t kEight = 0x41000000;
  typename V::Int bits = (code << 20) + (129 << 23) - (subnormal << 23);
  return V::as_float(bits) - V::as_float(subnormal & kEight);
}

}  // namespace potluck::tiles
