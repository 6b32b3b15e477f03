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

// The sum of quants * x over 32 columns, in pairs of int16 per row. Quants are at most 15: 16
// products of at most 15 * 127 fit.
static inline __m256i dot_nibbles(const __m256i quants[kBlockVectors], const int8_t* x) {
  __m256i sum = _mm256_maddubs_epi16(quants[0], broadcast4(x));
  for (uint32_t v = 1; v < kBlockVectors; ++v) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(quants[v], broadcast4(x + 4 * v)));
  }
  return sum;
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
