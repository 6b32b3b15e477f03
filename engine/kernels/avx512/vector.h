// Vectors of one panel (256 bits) or two neighboring ones (512 bits; the lower half is the first
// panel): 8 or 16 rows, one 32-bit lane each. Arithmetic on lanes is written with the compiler's
// vector types; what they cannot say is an intrinsic here. Everything is `static` or specific to
// this file's types; see avx2/vector.h. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace potluck::avx512 {

template <uint32_t kPanels>
struct Vectors {
  typedef int32_t Int __attribute__((vector_size(32 * kPanels)));
  typedef float Float __attribute__((vector_size(32 * kPanels)));
};

template <uint32_t kPanels>
using Int = typename Vectors<kPanels>::Int;
template <uint32_t kPanels>
using Float = typename Vectors<kPanels>::Float;

// The same value in every lane.
template <uint32_t kPanels>
static inline Int<kPanels> broadcast(int32_t value) {
  return Int<kPanels>{} + value;
}

// Four bytes, or two int16, in every lane.
template <uint32_t kPanels>
static inline Int<kPanels> broadcast4(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof value);
  return broadcast<kPanels>(value);
}

template <uint32_t kPanels>
static inline Float<kPanels> to_float(Int<kPanels> value) {
  return __builtin_convertvector(value, Float<kPanels>);
}

// Loads of 32, 16 or 8 bytes from each panel; panels are `stride` bytes apart.
static inline __m128i load8(const std::byte* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from));
}
static inline __m128i load16(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from));
}
static inline __m256i load32(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from));
}
static inline __m256i load16x2(const std::byte* from, uint64_t stride) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(from)), load16(from + stride), 1);
}
static inline __m128i load8x2(const std::byte* from, uint64_t stride) {
  return _mm_unpacklo_epi64(load8(from), load8(from + stride));
}

// 32 bytes of each panel, as they are.
template <uint32_t kPanels>
static inline Int<kPanels> load_vector(const std::byte* from, uint64_t stride) {
  if constexpr (kPanels == 1) {
    return reinterpret_cast<Int<1>>(load32(from));
  } else {
    __m512i low = _mm512_castsi256_si512(load32(from));
    return reinterpret_cast<Int<2>>(_mm512_inserti64x4(low, load32(from + stride), 1));
  }
}

// Eight f16 values of each panel.
template <uint32_t kPanels>
static inline Float<kPanels> load_halves(const std::byte* from, uint64_t stride) {
  if constexpr (kPanels == 1) {
    return _mm256_cvtph_ps(load16(from));
  } else {
    return _mm512_cvtph_ps(load16x2(from, stride));
  }
}

// Eight bfloat16 values of each panel.
template <uint32_t kPanels>
static inline Float<kPanels> load_bfloats(const std::byte* from, uint64_t stride) {
  if constexpr (kPanels == 1) {
    __m256i wide = _mm256_cvtepu16_epi32(load16(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  } else {
    __m512i wide = _mm512_cvtepu16_epi32(load16x2(from, stride));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
}

// Eight bytes of each panel, without and with sign.
template <uint32_t kPanels>
static inline Int<kPanels> load_unsigned(const std::byte* from, uint64_t stride) {
  if constexpr (kPanels == 1) {
    return reinterpret_cast<Int<1>>(_mm256_cvtepu8_epi32(load8(from)));
  } else {
    return reinterpret_cast<Int<2>>(_mm512_cvtepu8_epi32(load8x2(from, stride)));
  }
}
template <uint32_t kPanels>
static inline Int<kPanels> load_signed(const std::byte* from, uint64_t stride) {
  if constexpr (kPanels == 1) {
    return reinterpret_cast<Int<1>>(_mm256_cvtepi8_epi32(load8(from)));
  } else {
    return reinterpret_cast<Int<2>>(_mm512_cvtepi8_epi32(load8x2(from, stride)));
  }
}

// Eight exponents of MXFP4 of each panel: exponent_to_float() of each.
template <uint32_t kPanels>
static inline Float<kPanels> load_exponents(const std::byte* from, uint64_t stride) {
  Int<kPanels> e = load_unsigned<kPanels>(from, stride);
  Int<kPanels> normal = (e - 1) << 2;
  Int<kPanels> low = e + 1;
  return reinterpret_cast<Float<kPanels>>((normal > low ? normal : low) << 21);
}

// The bytes of a table of 16 by their numbers, which are below 16.
static inline Int<1> shuffle_bytes(__m128i table, Int<1> numbers) {
  return reinterpret_cast<Int<1>>(
      _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), reinterpret_cast<__m256i>(numbers)));
}
static inline Int<2> shuffle_bytes(__m128i table, Int<2> numbers) {
  return reinterpret_cast<Int<2>>(
      _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), reinterpret_cast<__m512i>(numbers)));
}

// sum + the four products of unsigned bytes with signed bytes in each lane. Nothing can overflow
// before the sum.
static inline Int<1> dot_bytes(Int<1> sum, Int<1> quants, Int<1> x) {
  return reinterpret_cast<Int<1>>(_mm256_dpbusd_epi32(reinterpret_cast<__m256i>(sum),
                                                      reinterpret_cast<__m256i>(quants),
                                                      reinterpret_cast<__m256i>(x)));
}
static inline Int<2> dot_bytes(Int<2> sum, Int<2> quants, Int<2> x) {
  return reinterpret_cast<Int<2>>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum),
                                                      reinterpret_cast<__m512i>(quants),
                                                      reinterpret_cast<__m512i>(x)));
}

// sum + the two products of int16 in each lane.
static inline Int<1> dot_pairs(Int<1> sum, Int<1> a, Int<1> b) {
  return reinterpret_cast<Int<1>>(_mm256_dpwssd_epi32(
      reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
static inline Int<2> dot_pairs(Int<2> sum, Int<2> a, Int<2> b) {
  return reinterpret_cast<Int<2>>(_mm512_dpwssd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

// Stores the first `rows` lanes.
static inline void store_rows(Float<1> values, uint32_t rows, float* y) {
  uint32_t lanes = rows >= 8 ? 0xffu : (1u << rows) - 1;
  _mm256_mask_storeu_ps(y, static_cast<__mmask8>(lanes), values);
}
static inline void store_rows(Float<2> values, uint32_t rows, float* y) {
  uint32_t lanes = rows >= 16 ? 0xffffu : (1u << rows) - 1;
  _mm512_mask_storeu_ps(y, static_cast<__mmask16>(lanes), values);
}

}  // namespace potluck::avx512
