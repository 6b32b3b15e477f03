// SSE4.1 (with SSSE3) as the vector kernels see it: see panel_vectors.h. What processors before
// AVX2 have, from 2008 on. A vector of one panel is a pair of registers. Products of bytes are as
// with AVX2: added in 16 bits as long as they fit, which depends on the largest quant. There are no
// conversions from half precision. Everything lives in an unnamed namespace: see avx2/shim.h.
// Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include <smmintrin.h>

#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/register_pair.h"

namespace potluck::sse41 {
namespace {

using Int = tiles::RegisterPair<int32_t>;
using Float = tiles::RegisterPair<float>;

inline __m128i raw(Int::Register lanes) {
  return reinterpret_cast<__m128i>(lanes);
}
inline __m128 raw(Float::Register lanes) {
  return reinterpret_cast<__m128>(lanes);
}
inline Int ints(__m128i low, __m128i high) {
  return {reinterpret_cast<Int::Register>(low), reinterpret_cast<Int::Register>(high)};
}
inline Float floats(__m128 low, __m128 high) {
  return {reinterpret_cast<Float::Register>(low), reinterpret_cast<Float::Register>(high)};
}

inline __m128i load4(const void* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof value);
  return _mm_cvtsi32_si128(value);
}
inline __m128i load8(const void* from) {
  return _mm_loadl_epi64(static_cast<const __m128i_u*>(from));
}
inline __m128i load16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i_u*>(from));
}
// Four bytes, or two int16, in every lane.
inline __m128i broadcast4(const void* from) {
  return _mm_shuffle_epi32(load4(from), 0);
}

// Sums of pairs of int16 times pairs of factors.
inline Int multiply_pairs(__m128i low, __m128i high, Int factors) {
  return ints(_mm_madd_epi16(low, raw(factors.low)), _mm_madd_epi16(high, raw(factors.high)));
}

// Products of unsigned bytes of at most kMost with activations, which stand for themselves less
// kOffset: see avx2/shim.h.
template <int kMost, int kOffset>
struct UnsignedQuants {
  static_assert(kMost <= 128);
  static constexpr uint32_t kFit = kMost <= 15 ? 8 : kMost <= 31 ? 4 : kMost <= 63 ? 2 : 1;
  Int vector[tiles::kBlockVectors];

  Int dot(const int8_t* x, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    Int ones = Int{} + 0x10001;
    Int sum = start + sum_of<kFit>(x, ones, ones);
    if constexpr (kOffset != 0) sum = sum - kOffset * (sums[0] + sums[1]);
    return sum;
  }
  Int scaled(const int8_t* x, Int factor) const { return sum_of<kFit>(x, factor, factor); }
  Int scaled(const int8_t* x, Int first, Int second) const {
    // A sum must not mix columns of both factors, and four vectors are 16 columns.
    return sum_of < kFit == 8 ? 4 : kFit > (x, first, second);
  }
  void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
    static_assert(kFit >= 4);
    Int ones = Int{} + 0x10001;
    two[0] = sum_of<4, 0, 4>(x, ones, ones) - kOffset * sums[0];
    two[1] = sum_of<4, 4, 8>(x, ones, ones) - kOffset * sums[1];
  }

 private:
  template <uint32_t kTogether, uint32_t kBegin = 0, uint32_t kEnd = tiles::kBlockVectors>
  Int sum_of(const int8_t* x, Int first, Int second) const {
    Int sum{};
#pragma GCC unroll 8
    for (uint32_t v = kBegin; v < kEnd; v += kTogether) {
      __m128i low{};
      __m128i high{};
#pragma GCC unroll 8
      for (uint32_t i = v; i < v + kTogether; ++i) {
        __m128i four = broadcast4(x + 4 * i);
        low = _mm_add_epi16(low, _mm_maddubs_epi16(raw(vector[i].low), four));
        high = _mm_add_epi16(high, _mm_maddubs_epi16(raw(vector[i].high), four));
      }
      sum += multiply_pairs(low, high, v < tiles::kBlockVectors / 2 ? first : second);
    }
    return sum;
  }
};

// Signed bytes: their magnitudes times x with their signs. See avx2/shim.h.
struct SignedQuants {
  Int vector[tiles::kBlockVectors];

  void finish_signed() {}
  void finish_biased() {}

  Int dot(const int8_t* x, const int16_t*, Int start = Int{}) const {
    return start + scaled(x, Int{} + 0x10001);
  }
  Int scaled(const int8_t* x, Int factor) const { return scaled(x, factor, factor); }
  Int scaled(const int8_t* x, Int first, Int second) const {
    Int sum{};
#pragma GCC unroll 8
    for (uint32_t v = 0; v < tiles::kBlockVectors; ++v) {
      __m128i four = broadcast4(x + 4 * v);
      sum += multiply_pairs(products(raw(vector[v].low), four), products(raw(vector[v].high), four),
                            v < tiles::kBlockVectors / 2 ? first : second);
    }
    return sum;
  }

 private:
  static __m128i products(__m128i quants, __m128i x) {
    return _mm_maddubs_epi16(_mm_abs_epi8(quants), _mm_sign_epi8(x, quants));
  }
};

// Floats of half precision in the lower 16 bits of each lane. Multiplying moves the exponent to
// where float32 has it, and is exact for subnormal numbers too; infinity and NaN are put right.
inline __m128 from_halves(__m128i bits) {
  __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff));
  __m128i sign = _mm_slli_epi32(_mm_xor_si128(bits, magnitude), 16);
  __m128 value = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112F));
  __m128i above_all = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
  __m128i special = _mm_and_si128(above_all, _mm_set1_epi32(0x7f800000));
  return _mm_or_ps(value, _mm_castsi128_ps(_mm_or_si128(sign, special)));
}

struct Panel : tiles::PairOfFloats {
  using OnePanel = Panel;
  static constexpr uint32_t kPanels = 1;
  static constexpr uint32_t kRegisters = 8;  // pairs
  static constexpr int kSignedBias = 0;
  using Int = sse41::Int;
  using Float = sse41::Float;
  template <int kMost, int kOffset>
  using Quants = UnsignedQuants<kMost, kOffset>;
  using SignedQuants = sse41::SignedQuants;

  static Int load_vector(const std::byte* from, uint64_t) {
    return ints(load16(from), load16(from + 16));
  }
  static Float load_halves(const std::byte* from, uint64_t) {
    Int bits = words_of(from);
    return floats(from_halves(raw(bits.low)), from_halves(raw(bits.high)));
  }
  static Float load_bfloats(const std::byte* from, uint64_t) {
    return as_float(words_of(from) << 16);
  }
  static Int load_unsigned(const std::byte* from, uint64_t) {
    return ints(_mm_cvtepu8_epi32(load4(from)), _mm_cvtepu8_epi32(load4(from + 4)));
  }
  static Int load_signed(const std::byte* from, uint64_t) {
    return ints(_mm_cvtepi8_epi32(load4(from)), _mm_cvtepi8_epi32(load4(from + 4)));
  }

  static Float row_halves(const std::byte* from) { return load_halves(from, 0); }
  static Int row_signed(const std::byte* from) { return load_signed(from, 0); }
  static Float broadcast_half(const std::byte* from) {
    uint16_t half;
    __builtin_memcpy(&half, from, sizeof half);
    __m128 value = from_halves(_mm_set1_epi32(half));
    return floats(value, value);
  }

  // See avx2/shim.h.
  static void add_rounded(Float values, int64_t* sums) {
    const __m128d magic = _mm_set1_pd(0x1.8p52);
    auto add = [&](__m128 two, int64_t* to) {
      __m128i sum = _mm_castpd_si128(_mm_add_pd(_mm_cvtps_pd(two), magic));
      __m128i integers = _mm_sub_epi64(sum, _mm_castpd_si128(magic));
      auto* at = reinterpret_cast<__m128i_u*>(to);
      _mm_storeu_si128(at, _mm_add_epi64(_mm_loadu_si128(at), integers));
    };
    add(raw(values.low), sums);
    add(_mm_movehl_ps(raw(values.low), raw(values.low)), sums + 2);
    add(raw(values.high), sums + 4);
    add(_mm_movehl_ps(raw(values.high), raw(values.high)), sums + 6);
  }

  static Float to_float(Int value) {
    return floats(_mm_cvtepi32_ps(raw(value.low)), _mm_cvtepi32_ps(raw(value.high)));
  }
  static Float as_float(Int value) {
    return floats(_mm_castsi128_ps(raw(value.low)), _mm_castsi128_ps(raw(value.high)));
  }
  static Int as_int(Float value) {
    return ints(_mm_castps_si128(raw(value.low)), _mm_castps_si128(raw(value.high)));
  }
  // By the rounding mode of the thread: to nearest even.
  static Int round(Float value) {
    return ints(_mm_cvtps_epi32(raw(value.low)), _mm_cvtps_epi32(raw(value.high)));
  }
  static Int max(Int a, Int b) {
    return ints(_mm_max_epi32(raw(a.low), raw(b.low)), _mm_max_epi32(raw(a.high), raw(b.high)));
  }
  static Float max(Float a, Float b) {
    return floats(_mm_max_ps(raw(a.low), raw(b.low)), _mm_max_ps(raw(a.high), raw(b.high)));
  }
  static Float min(Float a, Float b) {
    return floats(_mm_min_ps(raw(a.low), raw(b.low)), _mm_min_ps(raw(a.high), raw(b.high)));
  }
  static int32_t largest_lane(Int values) {
    __m128i four = _mm_max_epi32(raw(values.low), raw(values.high));
    __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 1)));
  }

  template <int kOffset>
  static Int look_up(const int8_t* table, Int numbers) {
    __m128i entries = _mm_add_epi8(load16(table), _mm_set1_epi8(static_cast<char>(kOffset)));
    return ints(_mm_shuffle_epi8(entries, raw(numbers.low)),
                _mm_shuffle_epi8(entries, raw(numbers.high)));
  }
  static void entries_of_8(const int8_t (*grid)[8], auto indices, Int two[2]) {
    auto pair_of = [&](uint32_t r) {
      return _mm_unpacklo_epi64(load8(grid[indices.at[r * indices.kStep]]),
                                load8(grid[indices.at[(r + 1) * indices.kStep]]));
    };
    __m128 pairs[4];
    for (uint32_t i = 0; i < 4; ++i) pairs[i] = _mm_castsi128_ps(pair_of(2 * i));
    two[0] = as_int(
        floats(_mm_shuffle_ps(pairs[0], pairs[1], 0x88), _mm_shuffle_ps(pairs[2], pairs[3], 0x88)));
    two[1] = as_int(
        floats(_mm_shuffle_ps(pairs[0], pairs[1], 0xdd), _mm_shuffle_ps(pairs[2], pairs[3], 0xdd)));
  }
  static Int entries_of_4(const int8_t (*grid)[4], auto indices) {
    auto row = [&](uint32_t r) { return load4(grid[indices.at[r * indices.kStep]]); };
    auto four = [&](uint32_t r) {
      return _mm_unpacklo_epi64(_mm_unpacklo_epi32(row(r), row(r + 1)),
                                _mm_unpacklo_epi32(row(r + 2), row(r + 3)));
    };
    return ints(four(0), four(4));
  }
  // A blend goes by the highest bit of each byte; a shift of lanes brings the right one there.
  template <int kBit>
  static Int mirrored(Int bytes, Int bits, int sum) {
    __m128i all = _mm_set1_epi8(static_cast<char>(sum));
    Int top = bits << (7 - kBit);
    __m128i low = _mm_sub_epi8(all, raw(bytes.low));
    __m128i high = _mm_sub_epi8(all, raw(bytes.high));
    return ints(_mm_blendv_epi8(raw(bytes.low), low, raw(top.low)),
                _mm_blendv_epi8(raw(bytes.high), high, raw(top.high)));
  }
  static Int load_triples(const std::byte* from) {
    __m128i low = _mm_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11);
    __m128i high = _mm_setr_epi8(-1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15);
    return ints(_mm_shuffle_epi8(load16(from), low), _mm_shuffle_epi8(load16(from + 8), high));
  }

  static Int pair(Int low, Int high) {
    Int above = high << 16;
    return ints(_mm_blend_epi16(raw(low.low), raw(above.low), 0xaa),
                _mm_blend_epi16(raw(low.high), raw(above.high), 0xaa));
  }
  static Int factor(Int value) { return pair(value, value); }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    __m128i factors = broadcast4(two);
    return sum + multiply_pairs(factors, factors, pairs);
  }
  static Int multiply_words(Int all, int number) {
    __m128i factor = _mm_set1_epi16(static_cast<short>(number));
    return ints(_mm_mullo_epi16(raw(all.low), factor), _mm_mullo_epi16(raw(all.high), factor));
  }
  static Int add_bytes(Int a, Int b) {
    return ints(_mm_add_epi8(raw(a.low), raw(b.low)), _mm_add_epi8(raw(a.high), raw(b.high)));
  }
  static Int subtract_bytes(Int a, Int b) {
    return ints(_mm_sub_epi8(raw(a.low), raw(b.low)), _mm_sub_epi8(raw(a.high), raw(b.high)));
  }
  static Int greater_bytes(Int a, Int b) {
    return ints(_mm_cmpgt_epi8(raw(a.low), raw(b.low)), _mm_cmpgt_epi8(raw(a.high), raw(b.high)));
  }

  static void store_quants(const Int values[4], int8_t* quants, int16_t* sums) {
    for (uint32_t i = 0; i < 2; ++i) {
      const Int* two = values + 2 * i;
      __m128i packed = _mm_packs_epi16(_mm_packs_epi32(raw(two[0].low), raw(two[0].high)),
                                       _mm_packs_epi32(raw(two[1].low), raw(two[1].high)));
      _mm_storeu_si128(reinterpret_cast<__m128i_u*>(quants + 16 * i), packed);
      __m128i fours = _mm_maddubs_epi16(_mm_set1_epi8(1), packed);
      __m128i sum = _mm_madd_epi16(fours, _mm_set1_epi16(1));
      sum = _mm_hadd_epi32(sum, sum);
      sum = _mm_hadd_epi32(sum, sum);
      sums[i] = static_cast<int16_t>(_mm_cvtsi128_si32(sum));
    }
  }

 private:
  // Eight words without sign.
  static Int words_of(const std::byte* from) {
    return ints(_mm_cvtepu16_epi32(load8(from)), _mm_cvtepu16_epi32(load8(from + 8)));
  }
};

static_assert(tiles::OnePanelVectors<Panel>);

}  // namespace
}  // namespace potluck::sse41
