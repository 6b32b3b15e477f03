// AVX2 as the tiles of formats/ see it: see panel_vectors.h. Vectors of one panel. There is no
// product of bytes that adds up in 32 bits: products are added in 16 bits as long as they fit,
// which depends on the largest quant. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/panel_vectors.h"

namespace potluck::avx2 {
namespace {

struct Panel {
  static constexpr uint32_t kPanels = 1;
  static constexpr int kSignedBias = 0;
  typedef int32_t Int __attribute__((vector_size(32)));
  typedef float Float __attribute__((vector_size(32)));

  static Int load_vector(const std::byte* from, uint64_t) {
    return reinterpret_cast<Int>(load_bytes(from));
  }
  static Float load_halves(const std::byte* from, uint64_t) { return avx2::load_halves(from); }
  static Float load_bfloats(const std::byte* from, uint64_t) {
    __m256i wide = _mm256_cvtepu16_epi32(load_half_vector(from));
    return reinterpret_cast<Float>(_mm256_slli_epi32(wide, 16));
  }
  static Float load_exponents(const std::byte* from, uint64_t) {
    return avx2::load_exponents(from);
  }
  template <int kOffset>
  static Int look_up(const int8_t table[16], Int numbers) {
    __m128i entries =
        _mm_add_epi8(load_half_vector(table), _mm_set1_epi8(static_cast<char>(kOffset)));
    return reinterpret_cast<Int>(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries),
                                                     reinterpret_cast<__m256i>(numbers)));
  }
  static Float to_float(Int value) { return __builtin_convertvector(value, Float); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    avx2::store_rows(values, rows, y);
  }

  // Unsigned quants of at most kMost, which stand for themselves less kOffset.
  template <int kMost, int kOffset>
  struct Quants {
    static_assert(kMost <= 31);
    Int vector[tiles::kBlockVectors];

    Int dot(const int8_t* x, const int16_t* sums) const {
      // 16 products of at most 15 * 127 fit an int16, or 8 of at most 31 * 127.
      constexpr uint32_t kFit = kMost <= 15 ? 8 : 4;
      Int sum = group<kFit>(0, x);
      if constexpr (kFit == 4) sum += group<kFit>(4, x);
      if constexpr (kOffset != 0) sum -= kOffset * (sums[0] + sums[1]);
      return sum;
    }

   private:
    template <uint32_t kFit>
    Int group(uint32_t first, const int8_t* x) const {
      __m256i pairs = products(first, x);
      for (uint32_t v = first + 1; v < first + kFit; ++v) {
        pairs = _mm256_add_epi16(pairs, products(v, x));
      }
      return reinterpret_cast<Int>(add_pairs(pairs));
    }
    __m256i products(uint32_t v, const int8_t* x) const {
      return _mm256_maddubs_epi16(reinterpret_cast<__m256i>(vector[v]), broadcast4(x + 4 * v));
    }
  };

  // With their magnitudes: see dot_signed().
  struct SignedQuants {
    Int vector[tiles::kBlockVectors];
    __m256i magnitudes[tiles::kBlockVectors];

    void finish_signed() {
      for (uint32_t v = 0; v < tiles::kBlockVectors; ++v) {
        magnitudes[v] = _mm256_abs_epi8(reinterpret_cast<__m256i>(vector[v]));
      }
    }
    void finish_biased() { finish_signed(); }

    Int dot(const int8_t* x, const int16_t*) const {
      Int sum{};
      for (uint32_t v = 0; v < tiles::kBlockVectors; ++v) {
        __m256i pairs = dot_signed(reinterpret_cast<__m256i>(vector[v]), magnitudes[v], x + 4 * v);
        sum += reinterpret_cast<Int>(add_pairs(pairs));
      }
      return sum;
    }
  };
};

static_assert(tiles::PanelVectors<Panel>);

}  // namespace
}  // namespace potluck::avx2
