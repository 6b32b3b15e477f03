// What the super-blocks of 256 columns have in common: heads, integer sums, and blocks of signed
// quants. Integer sums are scaled by sub-scales as integers; they meet the float scales once per
// block of the activations. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

struct OnePanel {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

// d alone, divided by kDivisor (a power of two).
struct ScaledSums {
  __m256i scaled = _mm256_setzero_si256();
};

template <int kDivisor>
struct ScaleHead {
  static constexpr uint32_t kBytes = 16;
  __m256 d;
  ScaleHead(const std::byte* from, uint64_t)
      : d(_mm256_mul_ps(load_halves(from), _mm256_set1_ps(1.0F / kDivisor))) {}

  void finish(const ScaledSums& sums, float dx, __m256& acc) const {
    __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(dx));
    acc = multiply_add(acc, scale, _mm256_cvtepi32_ps(sums.scaled));
  }
};

// d and dmin.
struct MinimumSums {
  __m256i scaled = _mm256_setzero_si256();
  __m256i minimums = _mm256_setzero_si256();

  void add(__m256i more_scaled, __m256i more_minimums) {
    scaled = _mm256_add_epi32(scaled, more_scaled);
    minimums = _mm256_add_epi32(minimums, more_minimums);
  }
};

struct MinimumHead {
  static constexpr uint32_t kBytes = 32;
  __m256 d;
  __m256 dmin;
  MinimumHead(const std::byte* from, uint64_t)
      : d(load_halves(from)), dmin(load_halves(from + 16)) {}

  void finish(const MinimumSums& sums, float dx, __m256& acc) const {
    __m256 x = _mm256_set1_ps(dx);
    __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(d, x), _mm256_cvtepi32_ps(sums.scaled));
    __m256 minimums = _mm256_mul_ps(_mm256_mul_ps(dmin, x), _mm256_cvtepi32_ps(sums.minimums));
    acc = _mm256_add_ps(acc, _mm256_sub_ps(scaled, minimums));
  }
};

// Signed quants and, for each 16 columns, a scale.
struct SignedSuperBlock : OnePanel {
  __m256i scales[2];  // int16, each row's twice
  __m256i quants[kBlockVectors];
  __m256i magnitudes[kBlockVectors];

  void take_magnitudes() {
    for (uint32_t v = 0; v < kBlockVectors; ++v) magnitudes[v] = _mm256_abs_epi8(quants[v]);
  }

  void add(const int8_t* x, const int16_t*, ScaledSums& sums) const {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      __m256i dot = dot_signed(quants[v], magnitudes[v], x + 4 * v);
      sums.scaled = _mm256_add_epi32(sums.scaled, _mm256_madd_epi16(dot, scales[v / 4]));
    }
  }
};

template <class Format, uint32_t kBlocksPerScale>
constexpr tiles::FormatTiles row(TensorType type) {
  return {.type = type,
          .form = tiles::form_of(kBlocksPerScale),
          .one_panel = tiles::two_tiles(tiles::super_block_tile<Format, kBlocksPerScale, 1>,
                                        tiles::super_block_tile<Format, kBlocksPerScale, 0>)};
}

}  // namespace
}  // namespace potluck::avx2
