// Unpacking and multiplying quants of 32 columns of 8 rows: eight vectors of 8 rows x 4 columns in
// column order, one int32 lane per row. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/vector.h"

namespace potluck::avx2 {

inline constexpr uint32_t kVectorBytes = 32;
inline constexpr uint32_t kBlockVectors = 8;

// 4-bit quants, 0..15: four stored vectors to eight.
static inline void unpack_nibbles(const std::byte* from, __m256i quants[kBlockVectors]) {
  __m256i mask = _mm256_set1_epi8(15);
  for (uint32_t v = 0; v < 4; ++v) {
    __m256i pairs = load_bytes(from + kVectorBytes * v);
    quants[v] = _mm256_and_si256(pairs, mask);
    quants[v + 4] = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), mask);
  }
}

// 2-bit quants, 0..3: two stored vectors to eight.
static inline void unpack_pairs(const std::byte* from, __m256i quants[kBlockVectors]) {
  __m256i mask = _mm256_set1_epi8(3);
  for (uint32_t v = 0; v < 2; ++v) {
    __m256i pairs = load_bytes(from + kVectorBytes * v);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      quants[4 * v + j] = _mm256_and_si256(_mm256_srli_epi16(pairs, 2 * j), mask);
    }
  }
}

// One more bit of every quant, from one stored vector: bit j belongs to vector j.
template <int kBit>
static inline void add_bits(const std::byte* from, __m256i quants[kBlockVectors]) {
  __m256i mask = _mm256_set1_epi8(1 << kBit);
  __m256i bits = load_bytes(from);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    __m256i moved =
        j < kBit ? _mm256_slli_epi16(bits, kBit - j) : _mm256_srli_epi16(bits, j - kBit);
    quants[j] = _mm256_or_si256(quants[j], _mm256_and_si256(moved, mask));
  }
}

// The entries of a codebook of 16 that 4-bit quants stand for, each plus kOffset.
template <int kOffset>
static inline void look_up(const int8_t codebook[16], __m256i quants[kBlockVectors]) {
  __m128i entries =
      _mm_add_epi8(load_half_vector(codebook), _mm_set1_epi8(static_cast<char>(kOffset)));
  __m256i table = _mm256_broadcastsi128_si256(entries);
  for (uint32_t v = 0; v < kBlockVectors; ++v) quants[v] = _mm256_shuffle_epi8(table, quants[v]);
}

// The sum of quants * x over 32 columns, in pairs of int16 per row. Quants are at most 15: 16
// products of at most 15 * 127 fit.
static inline __m256i dot_nibbles(const __m256i quants[kBlockVectors], const int8_t* x) {
  __m256i sum = _mm256_maddubs_epi16(quants[0], broadcast4(x));
  for (uint32_t v = 1; v < kBlockVectors; ++v) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(quants[v], broadcast4(x + 4 * v)));
  }
  return sum;
}

// The same over 16 columns: quants may be at most 31 for 8 products to fit.
static inline __m256i dot16(const __m256i* quants, const int8_t* x) {
  __m256i sum = _mm256_maddubs_epi16(quants[0], broadcast4(x));
  for (uint32_t v = 1; v < 4; ++v) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(quants[v], broadcast4(x + 4 * v)));
  }
  return sum;
}

// Signed quants of 4 columns, with their magnitudes: |w| * (x with w's sign) is unsigned by signed,
// as the instruction wants it. |w| may be 128; two products of at most 128 * 127 fit an int16.
static inline __m256i dot_signed(__m256i quants, __m256i magnitudes, const int8_t* x) {
  return _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(broadcast4(x), quants));
}

// Adds a pair of int16 per row into one int32.
static inline __m256i add_pairs(__m256i pairs) {
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Eight bytes, one per row, each widened to a pair of equal int16: of the low or the high half.
static inline __m128i duplicate_low(__m128i bytes) {
  return _mm_unpacklo_epi8(bytes, bytes);
}
static inline __m128i duplicate_high(__m128i bytes) {
  return _mm_unpackhi_epi8(bytes, bytes);
}

}  // namespace potluck::avx2
