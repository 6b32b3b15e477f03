// AVX2 as the vector kernels see it: see panel_vectors.h. Vectors of one panel. There is no product
// of bytes that adds up in 32 bits: products are added in 16 bits as long as they fit, which
// depends on the largest quant. Serves AVX-512 as well, for what is one panel wide. Everything
// lives in an unnamed namespace: a function compiled for AVX2 must not be the copy that the linker
// keeps for the rest of the program. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "engine/kernels/panel_vectors.h"

namespace potluck::avx2 {
namespace {

inline __m128i load8(const void* from) {
  return _mm_loadl_epi64(static_cast<const __m128i_u*>(from));
}
inline __m128i load16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i_u*>(from));
}
inline __m256i load32(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i_u*>(from));
}

// Four bytes, or two int16, in every lane.
inline __m256i broadcast4(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof value);
  return _mm256_set1_epi32(value);
}

// Lanes [0, count) all ones, the others zero.
inline __m256i lane_mask(uint32_t count) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
}

// The entries of a table of 16 bytes, each plus kOffset.
template <int kOffset>
inline __m128i table_of_16(const int8_t* table) {
  return _mm_add_epi8(load16(table), _mm_set1_epi8(static_cast<char>(kOffset)));
}

typedef int32_t Int __attribute__((vector_size(32)));
typedef float Float __attribute__((vector_size(32)));

inline Int lanes(__m256i vector) {
  return reinterpret_cast<Int>(vector);
}
inline __m256i raw(Int vector) {
  return reinterpret_cast<__m256i>(vector);
}

// Products of unsigned bytes of at most kMost with activations. maddubs adds two products in an
// int16 and saturates, so kFit is the number of vectors whose sum cannot: 8 * 2 * 15 * 127 = 30480,
// 4 * 2 * 31 * 127 = 31496, 2 * 2 * 63 * 127 = 32004, 2 * 128 * 127 = 32512, all below 32768.
// Quants stand for themselves less kOffset.
template <int kMost, int kOffset>
struct UnsignedQuants {
  static_assert(kMost <= 128);
  static constexpr uint32_t kFit = kMost <= 15 ? 8 : kMost <= 31 ? 4 : kMost <= 63 ? 2 : 1;
  Int vector[tiles::kBlockVectors];

  Int dot(const int8_t* x, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    Int ones = lanes(_mm256_set1_epi16(1));
    Int sum = start + sum_of<kFit>(x, ones, ones);
    if constexpr (kOffset != 0) sum -= kOffset * (sums[0] + sums[1]);
    return sum;
  }
  Int scaled(const int8_t* x, Int factor) const { return sum_of<kFit>(x, factor, factor); }
  Int scaled(const int8_t* x, Int first, Int second) const {
    // A sum must not mix columns of both factors, and four vectors are 16 columns.
    return sum_of < kFit == 8 ? 4 : kFit > (x, first, second);
  }
  void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
    static_assert(kFit >= 4);
    for (uint32_t i = 0; i < 2; ++i) {
      __m256i pairs = products(4 * i, x);
      for (uint32_t v = 4 * i + 1; v < 4 * i + 4; ++v) {
        pairs = _mm256_add_epi16(pairs, products(v, x));
      }
      two[i] = lanes(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))) - kOffset * sums[i];
    }
  }

 private:
  template <uint32_t kTogether>
  Int sum_of(const int8_t* x, Int first, Int second) const {
    Int sum{};
#pragma GCC unroll 8
    for (uint32_t v = 0; v < tiles::kBlockVectors; v += kTogether) {
      __m256i pairs = products(v, x);
#pragma GCC unroll 8
      for (uint32_t i = v + 1; i < v + kTogether; ++i) {
        pairs = _mm256_add_epi16(pairs, products(i, x));
      }
      sum += lanes(_mm256_madd_epi16(pairs, raw(v < tiles::kBlockVectors / 2 ? first : second)));
    }
    return sum;
  }
  __m256i products(uint32_t v, const int8_t* x) const {
    return _mm256_maddubs_epi16(raw(vector[v]), broadcast4(x + 4 * v));
  }
};

// Signed bytes with their magnitudes: |w| * (x with w's sign) is unsigned by signed, as the
// instruction wants it. |w| may be 128; two products of at most 128 * 127 fit an int16. x must not
// be -128, which has no negative: quantizers give none, and the protocol refuses it.
struct SignedQuants {
  Int vector[tiles::kBlockVectors];
  __m256i magnitudes[tiles::kBlockVectors];

  void finish_signed() {
    for (uint32_t v = 0; v < tiles::kBlockVectors; ++v) {
      magnitudes[v] = _mm256_abs_epi8(raw(vector[v]));
    }
  }
  void finish_biased() { finish_signed(); }

  Int dot(const int8_t* x, const int16_t*, Int start = Int{}) const {
    return start + scaled(x, lanes(_mm256_set1_epi16(1)));
  }
  Int scaled(const int8_t* x, Int factor) const { return scaled(x, factor, factor); }
  Int scaled(const int8_t* x, Int first, Int second) const {
    Int sum{};
    for (uint32_t v = 0; v < tiles::kBlockVectors; ++v) {
      __m256i turned = _mm256_sign_epi8(broadcast4(x + 4 * v), raw(vector[v]));
      __m256i pairs = _mm256_maddubs_epi16(magnitudes[v], turned);
      sum += lanes(_mm256_madd_epi16(pairs, raw(v < tiles::kBlockVectors / 2 ? first : second)));
    }
    return sum;
  }
};

struct Panel {
  using OnePanel = Panel;
  static constexpr uint32_t kPanels = 1;
  static constexpr uint32_t kRegisters = 16;
  static constexpr int kSignedBias = 0;
  using Int = avx2::Int;
  using Float = avx2::Float;
  template <int kMost, int kOffset>
  using Quants = UnsignedQuants<kMost, kOffset>;
  using SignedQuants = avx2::SignedQuants;

  static Int load_vector(const std::byte* from, uint64_t) { return lanes(load32(from)); }
  static Float load_halves(const std::byte* from, uint64_t) {
    return _mm256_cvtph_ps(load16(from));
  }
  static Float load_bfloats(const std::byte* from, uint64_t) {
    return as_float(lanes(_mm256_cvtepu16_epi32(load16(from))) << 16);
  }
  static Int load_unsigned(const std::byte* from, uint64_t) {
    return lanes(_mm256_cvtepu8_epi32(load8(from)));
  }
  static Int load_signed(const std::byte* from, uint64_t) {
    return lanes(_mm256_cvtepi8_epi32(load8(from)));
  }

  static Float row_floats(const float* from) { return _mm256_loadu_ps(from); }
  static Float row_halves(const std::byte* from) { return load_halves(from, 0); }
  static Int row_signed(const std::byte* from) { return load_signed(from, 0); }
  static Float broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static Float broadcast_half(const std::byte* from) {
    int16_t half;
    __builtin_memcpy(&half, from, sizeof half);
    return _mm256_cvtph_ps(_mm_set1_epi16(half));
  }
  static void store_row(float* to, Float values) { _mm256_storeu_ps(to, values); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    if (rows >= 8) return store_row(y, values);
    _mm256_maskstore_ps(y, lane_mask(rows), values);
  }
  static Float load_first(const float* from, uint32_t count) {
    return _mm256_maskload_ps(from, lane_mask(count));
  }
  static Float keep_first(Float values, uint32_t count) {
    return as_float(as_int(values) & lanes(lane_mask(count)));
  }

  // Adding 1.5 * 2^52 rounds a double below 2^51 to the nearest even integer and leaves that
  // integer, in two's complement, in the low bits of the sum.
  static void add_rounded(Float values, int64_t* sums) {
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    auto add = [&](__m128 four, int64_t* to) {
      __m256i sum = _mm256_castpd_si256(_mm256_add_pd(_mm256_cvtps_pd(four), magic));
      __m256i integers = _mm256_sub_epi64(sum, _mm256_castpd_si256(magic));
      auto* at = reinterpret_cast<__m256i_u*>(to);
      _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), integers));
    };
    add(_mm256_castps256_ps128(values), sums);
    add(_mm256_extractf128_ps(values, 1), sums + 4);
  }

  static Float to_float(Int value) { return __builtin_convertvector(value, Float); }
  static Float as_float(Int value) { return reinterpret_cast<Float>(value); }
  static Int as_int(Float value) { return reinterpret_cast<Int>(value); }
  // By the rounding mode of the thread: to nearest even.
  static Int round(Float value) { return lanes(_mm256_cvtps_epi32(value)); }
  static Int max(Int a, Int b) { return lanes(_mm256_max_epi32(raw(a), raw(b))); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float where_greater(Float a, Float b, Float yes, Float no) { return a > b ? yes : no; }

  template <int kOffset>
  static Int look_up(const int8_t* table, Int numbers) {
    __m256i entries = _mm256_broadcastsi128_si256(table_of_16<kOffset>(table));
    return lanes(_mm256_shuffle_epi8(entries, raw(numbers)));
  }
  // Rows 0, 1, 4, 5 and 2, 3, 6, 7: the halves of 128 bits are then unpacked by themselves.
  static void entries_of_8(const int8_t (*grid)[8], auto indices, Int two[2]) {
    auto row = [&](uint32_t r) { return grid[indices.at[r * indices.kStep]]; };
    __m256 first = _mm256_castsi256_ps(four_of_8(row(0), row(1), row(4), row(5)));
    __m256 second = _mm256_castsi256_ps(four_of_8(row(2), row(3), row(6), row(7)));
    two[0] = as_int(_mm256_shuffle_ps(first, second, 0x88));
    two[1] = as_int(_mm256_shuffle_ps(first, second, 0xdd));
  }
  static Int entries_of_4(const int8_t (*grid)[4], auto indices) {
    auto row = [&](uint32_t r) { return broadcast4(grid[indices.at[r * indices.kStep]]); };
    __m256i pairs[4];
    for (uint32_t i = 0; i < 4; ++i) {
      pairs[i] = _mm256_blend_epi32(row(2 * i), row(2 * i + 1), 0xaa);
    }
    __m256i first = _mm256_blend_epi32(pairs[0], pairs[1], 0xcc);
    __m256i second = _mm256_blend_epi32(pairs[2], pairs[3], 0xcc);
    return lanes(_mm256_blend_epi32(first, second, 0xf0));
  }
  // A blend goes by the highest bit of each byte; a shift of lanes brings the right one there.
  template <int kBit>
  static Int mirrored(Int bytes, Int bits, int sum) {
    __m256i other = _mm256_sub_epi8(_mm256_set1_epi8(static_cast<char>(sum)), raw(bytes));
    return lanes(_mm256_blendv_epi8(raw(bytes), other, raw(bits << (7 - kBit))));
  }
  static Int load_triples(const std::byte* from) {
    __m256i halves =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load16(from)), load16(from + 8), 1);
    __m256i order = _mm256_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11,  //
                                     -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15);
    return lanes(_mm256_shuffle_epi8(halves, order));
  }

  static Int pair(Int low, Int high) {
    return lanes(_mm256_blend_epi16(raw(low), raw(high << 16), 0xaa));
  }
  static Int factor(Int value) { return pair(value, value); }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    return sum + lanes(_mm256_madd_epi16(raw(pairs), broadcast4(two)));
  }
  static Int multiply_words(Int words, int number) {
    return lanes(_mm256_mullo_epi16(raw(words), _mm256_set1_epi16(static_cast<short>(number))));
  }
  static Int add_bytes(Int a, Int b) { return lanes(_mm256_add_epi8(raw(a), raw(b))); }
  static Int subtract_bytes(Int a, Int b) { return lanes(_mm256_sub_epi8(raw(a), raw(b))); }
  static Int greater_bytes(Int a, Int b) { return lanes(_mm256_cmpgt_epi8(raw(a), raw(b))); }

  static int32_t largest_lane(Int values) {
    __m256i all = raw(values);
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static void store_quants(const Int values[4], int8_t* quants, int16_t* sums) {
    __m256i a = _mm256_packs_epi32(raw(values[0]), raw(values[1]));
    __m256i b = _mm256_packs_epi32(raw(values[2]), raw(values[3]));
    // Packing works on halves of 128 bits: dwords come out as 0 2 4 6 | 1 3 5 7.
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(quants), packed);
    __m256i fours = _mm256_maddubs_epi16(_mm256_set1_epi8(1), packed);
    __m256i sum = _mm256_madd_epi16(fours, _mm256_set1_epi16(1));
    sum = _mm256_hadd_epi32(sum, sum);
    sum = _mm256_hadd_epi32(sum, sum);
    sums[0] = static_cast<int16_t>(_mm256_extract_epi32(sum, 0));
    sums[1] = static_cast<int16_t>(_mm256_extract_epi32(sum, 4));
  }

 private:
  static __m256i broadcast8(const void* from) {
    int64_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return _mm256_set1_epi64x(value);
  }
  // Loads and blends: every processor has more ports for these than for inserting.
  static __m256i four_of_8(const int8_t* a, const int8_t* b, const int8_t* c, const int8_t* d) {
    __m256i low = _mm256_blend_epi32(broadcast8(a), broadcast8(b), 0x0c);
    __m256i high = _mm256_blend_epi32(broadcast8(c), broadcast8(d), 0xc0);
    return _mm256_blend_epi32(low, high, 0xf0);
  }
};

static_assert(tiles::OnePanelVectors<Panel>);

}  // namespace
}  // namespace potluck::avx2
