// AVX-512 with VNNI and DQ as the vector kernels see it: see panel_vectors.h. Vectors of one panel,
// AVX2's but for products, and of two (the lower half is the first panel). Products of unsigned
// with signed bytes add up in 32 bits: signed quants are made unsigned by adding 128, which goes
// out again with the sum of x. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/shim.h"

namespace potluck::avx512 {
namespace {

using avx2::load16;
using avx2::load32;
using avx2::load8;
using avx2::table_of_16;

// Unsigned quants, which stand for themselves less kOffset.
template <class V, int kMost, int kOffset>
struct UnsignedQuants {
  static_assert(kMost <= 255);
  using Int = typename V::Int;
  Int vector[tiles::kBlockVectors];

  Int dot(const int8_t* x, [[maybe_unused]] const int16_t* sums, Int start = Int{}) const {
    if constexpr (kOffset != 0) {
      // Two int16 of -kOffset, so one instruction takes off both sums of 16 columns.
      constexpr int32_t kOffsets = static_cast<uint16_t>(-kOffset) * 0x10001u;
      start = V::add_pairs(start, Int{} + kOffsets, sums);
    }
    return sum_of_32(x, start);
  }
  Int scaled(const int8_t* x, Int factor) const { return sum_of_32(x, Int{}) * factor; }
  Int scaled(const int8_t* x, Int first, Int second) const {
    return sum_of_16(x, 0, Int{}) * first + sum_of_16(x + 16, 4, Int{}) * second;
  }
  void dots(const int8_t* x, const int16_t* sums, Int (&two)[2]) const {
    two[0] = sum_of_16(x, 0, Int{} - kOffset * sums[0]);
    two[1] = sum_of_16(x + 16, 4, Int{} - kOffset * sums[1]);
  }

 private:
  // Two chains, so that one product need not wait for the one before it.
  Int sum_of_32(const int8_t* x, Int sum) const {
    return sum_of_16(x, 0, sum) + sum_of_16(x + 16, 4, Int{});
  }
  Int sum_of_16(const int8_t* x, uint32_t first, Int sum) const {
    for (uint32_t v = 0; v < 4; ++v) sum = V::add_products(sum, vector[first + v], x + 4 * v);
    return sum;
  }
};

// Flipping the sign bit adds 128.
template <class V>
struct SignedQuants : UnsignedQuants<V, 255, 128> {
  void finish_signed() {
    constexpr auto kSigns = static_cast<int32_t>(0x80808080u);
    for (typename V::Int& four : this->vector) four ^= kSigns;
  }
  void finish_biased() {}
};

struct Panel : avx2::Panel {
  using OnePanel = Panel;
  static constexpr uint32_t kRegisters = 32;
  static constexpr int kSignedBias = 128;
  template <int kMost, int kOffset>
  using Quants = UnsignedQuants<Panel, kMost, kOffset>;
  using SignedQuants = avx512::SignedQuants<Panel>;

  static void store_rows(Float values, uint32_t rows, float* y) {
    uint32_t lanes = rows >= 8 ? 0xffu : (1u << rows) - 1;
    _mm256_mask_storeu_ps(y, static_cast<__mmask8>(lanes), values);
  }
  static Int factor(Int value) { return value; }
  template <int kBit>
  static Int mirrored(Int bytes, Int bits, int sum) {
    __mmask32 chosen =
        _mm256_test_epi8_mask(avx2::raw(bits), _mm256_set1_epi8(static_cast<char>(1 << kBit)));
    __m256i all = _mm256_set1_epi8(static_cast<char>(sum));
    return avx2::lanes(_mm256_mask_sub_epi8(avx2::raw(bytes), chosen, all, avx2::raw(bytes)));
  }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    return avx2::lanes(
        _mm256_dpwssd_epi32(avx2::raw(sum), avx2::raw(pairs), avx2::broadcast4(two)));
  }
  // sum + the four products of unsigned bytes with signed ones in each lane.
  static Int add_products(Int sum, Int quants, const int8_t* x) {
    return avx2::lanes(_mm256_dpbusd_epi32(avx2::raw(sum), avx2::raw(quants), avx2::broadcast4(x)));
  }
  static void add_rounded(Float values, int64_t* sums) {
    __m512i integers = _mm512_cvtps_epi64(values);
    _mm512_storeu_si512(sums, _mm512_add_epi64(_mm512_loadu_si512(sums), integers));
  }
};

struct TwoPanels {
  static constexpr uint32_t kPanels = 2;
  static constexpr uint32_t kRegisters = 32;
  static constexpr int kSignedBias = 128;
  typedef int32_t Int __attribute__((vector_size(64)));
  typedef float Float __attribute__((vector_size(64)));
  using OnePanel = Panel;
  template <int kMost, int kOffset>
  using Quants = UnsignedQuants<TwoPanels, kMost, kOffset>;
  using SignedQuants = avx512::SignedQuants<TwoPanels>;

  static Int lanes(__m512i vector) { return reinterpret_cast<Int>(vector); }
  static __m512i raw(Int vector) { return reinterpret_cast<__m512i>(vector); }
  static __m512i two_of_32(__m256i first, __m256i second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
  }
  static __m256i two_of_16(const std::byte* from, uint64_t stride) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(from)), load16(from + stride), 1);
  }
  static __m128i two_of_8(const std::byte* from, uint64_t stride) {
    return _mm_unpacklo_epi64(load8(from), load8(from + stride));
  }
  static Int join(OnePanel::Int first, OnePanel::Int second) {
    return lanes(two_of_32(avx2::raw(first), avx2::raw(second)));
  }

  static Int load_vector(const std::byte* from, uint64_t stride) {
    return lanes(two_of_32(load32(from), load32(from + stride)));
  }
  static Float load_halves(const std::byte* from, uint64_t stride) {
    return _mm512_cvtph_ps(two_of_16(from, stride));
  }
  static Float load_bfloats(const std::byte* from, uint64_t stride) {
    return as_float(lanes(_mm512_cvtepu16_epi32(two_of_16(from, stride))) << 16);
  }
  static Int load_unsigned(const std::byte* from, uint64_t stride) {
    return lanes(_mm512_cvtepu8_epi32(two_of_8(from, stride)));
  }
  static Int load_signed(const std::byte* from, uint64_t stride) {
    return lanes(_mm512_cvtepi8_epi32(two_of_8(from, stride)));
  }

  static Float row_floats(const float* from) { return _mm512_loadu_ps(from); }
  static Float row_halves(const std::byte* from) { return _mm512_cvtph_ps(load32(from)); }
  static Int row_signed(const std::byte* from) { return lanes(_mm512_cvtepi8_epi32(load16(from))); }
  static Float broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static Float broadcast_half(const std::byte* from) {
    int16_t half;
    __builtin_memcpy(&half, from, sizeof half);
    return _mm512_cvtph_ps(_mm256_set1_epi16(half));
  }
  static void store_row(float* to, Float values) { _mm512_storeu_ps(to, values); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    uint32_t lanes = rows >= 16 ? 0xffffu : (1u << rows) - 1;
    _mm512_mask_storeu_ps(y, static_cast<__mmask16>(lanes), values);
  }

  static Float to_float(Int value) { return __builtin_convertvector(value, Float); }
  static Float as_float(Int value) { return reinterpret_cast<Float>(value); }
  static Int max(Int a, Int b) { return lanes(_mm512_max_epi32(raw(a), raw(b))); }
  template <int kOffset>
  static Int look_up(const int8_t* table, Int numbers) {
    __m512i entries = _mm512_broadcast_i32x4(table_of_16<kOffset>(table));
    return lanes(_mm512_shuffle_epi8(entries, raw(numbers)));
  }
  static Int pair(Int low, Int high) { return (low & 0xffff) | (high << 16); }
  static Int factor(Int value) { return value; }
  static Int multiply_words(Int words, int number) {
    return lanes(_mm512_mullo_epi16(raw(words), _mm512_set1_epi16(static_cast<short>(number))));
  }
  static Int add_pairs(Int sum, Int pairs, const int16_t* two) {
    return lanes(_mm512_dpwssd_epi32(raw(sum), raw(pairs), broadcast4(two)));
  }
  static Int add_products(Int sum, Int quants, const int8_t* x) {
    return lanes(_mm512_dpbusd_epi32(raw(sum), raw(quants), broadcast4(x)));
  }

 private:
  static __m512i broadcast4(const void* from) {
    int32_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return _mm512_set1_epi32(value);
  }
};

static_assert(tiles::OnePanelVectors<Panel> && tiles::PanelVectors<TwoPanels>);

}  // namespace
}  // namespace potluck::avx512
