// AVX-512 with VNNI as the tiles of formats/ see it: see panel_vectors.h. Vectors of one panel or
// of two. Products of unsigned with signed bytes add up in 32 bits: signed quants are made unsigned
// by adding 128, which goes out again with the sum of x. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include "engine/kernels/avx512/quant_vectors.h"
#include "engine/kernels/panel_vectors.h"

namespace potluck::avx512 {
namespace {

template <uint32_t kPanelCount>
struct Panels {
  static constexpr uint32_t kPanels = kPanelCount;
  static constexpr int kSignedBias = 128;
  using Int = avx512::Int<kPanels>;
  using Float = avx512::Float<kPanels>;

  static Int load_vector(const std::byte* from, uint64_t stride) {
    return avx512::load_vector<kPanels>(from, stride);
  }
  static Float load_halves(const std::byte* from, uint64_t stride) {
    return avx512::load_halves<kPanels>(from, stride);
  }
  static Float load_bfloats(const std::byte* from, uint64_t stride) {
    return avx512::load_bfloats<kPanels>(from, stride);
  }
  static Float load_exponents(const std::byte* from, uint64_t stride) {
    return avx512::load_exponents<kPanels>(from, stride);
  }
  template <int kOffset>
  static Int look_up(const int8_t table[16], Int numbers) {
    __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(table));
    entries = _mm_add_epi8(entries, _mm_set1_epi8(static_cast<char>(kOffset)));
    return shuffle_bytes(entries, numbers);
  }
  static Float to_float(Int value) { return avx512::to_float<kPanels>(value); }
  static void store_rows(Float values, uint32_t rows, float* y) {
    avx512::store_rows(values, rows, y);
  }

  // Unsigned quants, which stand for themselves less kOffset.
  template <int kMost, int kOffset>
  struct Quants {
    static_assert(kMost <= 255);
    Int vector[tiles::kBlockVectors];

    Int dot(const int8_t* x, const int16_t* sums) const {
      Int start{};
      if constexpr (kOffset != 0) {
        constexpr int32_t kOffsets = static_cast<uint16_t>(-kOffset) * 0x10001u;
        start = dot_pairs(start, broadcast<kPanels>(kOffsets), broadcast4<kPanels>(sums));
      }
      return dot32<kPanels>(start, vector, x);
    }
  };

  struct SignedQuants : Quants<255, kSignedBias> {
    void finish_signed() { add_128<kPanels>(this->vector); }
    void finish_biased() {}
  };
};

static_assert(tiles::PanelVectors<Panels<1>> && tiles::PanelVectors<Panels<2>>);

}  // namespace
}  // namespace potluck::avx512
