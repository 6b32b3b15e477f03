// Small steps that the AVX2 kernels share. Everything is `static`: a function compiled for AVX2
// must not be the copy that the linker keeps for the rest of the program. Internal to
// engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "engine/kernels/exp_constants.h"

namespace potluck::avx2 {

static inline __m256i load_bytes(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i_u*>(from));
}

static inline __m128i load_half_vector(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i_u*>(from));
}

// Eight f16 values.
static inline __m256 load_halves(const void* from) {
  return _mm256_cvtph_ps(load_half_vector(from));
}

// Eight exponents of MXFP4: exponent_to_float() of each.
static inline __m256 load_exponents(const void* from) {
  __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i_u*>(from)));
  __m256i one = _mm256_set1_epi32(1);
  __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 2);
  __m256i bits = _mm256_max_epi32(normal, _mm256_add_epi32(e, one));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 21));
}

// Four bytes, or two int16, in every lane.
static inline __m256i broadcast4(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof value);
  return _mm256_set1_epi32(value);
}

// acc + a * b, the product rounded first.
static inline __m256 multiply_add(__m256 acc, __m256 a, __m256 b) {
  return _mm256_add_ps(acc, _mm256_mul_ps(a, b));
}

// Lanes [0, count) all ones, the others zero.
static inline __m256i lane_mask(uint32_t count) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
}

// Stores the first `rows` lanes.
static inline void store_rows(__m256 values, uint32_t rows, float* y) {
  if (rows >= 8) {
    _mm256_storeu_ps(y, values);
  } else {
    _mm256_maskstore_ps(y, lane_mask(rows), values);
  }
}

// The largest number, -inf if there is none: the maximum instruction returns its second operand
// when either is a NaN.
static inline float largest(const float* scores, uint32_t count) {
  __m256 lanes = _mm256_set1_ps(-__builtin_inff());
  uint32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    lanes = _mm256_max_ps(_mm256_loadu_ps(scores + i), lanes);
  }
  float stored[8];
  _mm256_storeu_ps(stored, lanes);
  float max = stored[0];
  for (float lane : stored) max = lane > max ? lane : max;
  for (; i < count; ++i) max = scores[i] > max ? scores[i] : max;
  return max + 0.0F;
}

// exact_exp in eight lanes.
static inline __m256 exp8(__m256 x) {
  using namespace exp_constants;
  __m256 round = _mm256_set1_ps(kRound);
  __m256 shifted = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)), round);
  __m256 n = _mm256_sub_ps(shifted, round);
  __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(n, _mm256_set1_ps(kLn2High)));
  r = _mm256_sub_ps(r, _mm256_mul_ps(n, _mm256_set1_ps(kLn2Low)));
  __m256 q = _mm256_set1_ps(kQ[4]);
  for (int i = 3; i >= 0; --i) q = _mm256_add_ps(_mm256_mul_ps(q, r), _mm256_set1_ps(kQ[i]));
  __m256 p = _mm256_add_ps(_mm256_mul_ps(q, _mm256_mul_ps(r, r)), r);
  p = _mm256_add_ps(p, _mm256_set1_ps(1.0F));
  __m256i exponent = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(kRoundBits));
  __m256i half = _mm256_srai_epi32(exponent, 1);
  __m256i rest = _mm256_sub_epi32(exponent, half);
  __m256i bias = _mm256_set1_epi32(127);
  __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  p = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
  __m256 above = _mm256_cmp_ps(x, _mm256_set1_ps(kHighest), _CMP_GT_OQ);
  __m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(kLowest), _CMP_LT_OQ);
  p = _mm256_blendv_ps(p, _mm256_set1_ps(__builtin_inff()), above);
  return _mm256_andnot_ps(below, p);
}

}  // namespace potluck::avx2
