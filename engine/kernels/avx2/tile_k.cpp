// Formats of super-blocks of 256 with sub-scales: Q4_K, Q6_K. Integer sums are scaled by sub-scales
// as integers; they meet the float scales once per block of the activations.
#include "engine/base/check.h"
#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

// What both have.
struct OnePanel {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

// Q4_K: 8 scales and 8 minimums of 6 bits per block.
struct Q4K {
  struct Sums {
    __m256i scaled = _mm256_setzero_si256();
    __m256i minimums = _mm256_setzero_si256();
  };

  struct Head {
    static constexpr uint32_t kBytes = 32;
    __m256 d;
    __m256 dmin;
    Head(const std::byte* from, uint64_t) : d(load_halves(from)), dmin(load_halves(from + 16)) {}

    void finish(const Sums& sums, float dx, __m256& acc) const {
      __m256 x = _mm256_set1_ps(dx);
      __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(d, x), _mm256_cvtepi32_ps(sums.scaled));
      __m256 minimums = _mm256_mul_ps(_mm256_mul_ps(dmin, x), _mm256_cvtepi32_ps(sums.minimums));
      acc = _mm256_add_ps(acc, _mm256_sub_ps(scaled, minimums));
    }
  };

  struct Block : OnePanel {
    static constexpr uint32_t kBytes = 16 + 128;
    __m256i scales;    // int16, each row's twice
    __m256i minimums;  // likewise
    __m256i quants[kBlockVectors];

    Block(const std::byte* from, uint64_t) {
      __m128i small = load_half_vector(from);
      scales = _mm256_cvtepu8_epi16(duplicate_low(small));
      minimums = _mm256_cvtepu8_epi16(duplicate_high(small));
      unpack_nibbles(from + 16, quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      __m256i scaled = _mm256_madd_epi16(dot_nibbles(quants, x), scales);
      __m256i minimum = _mm256_madd_epi16(minimums, broadcast4(x_sums));
      sums.scaled = _mm256_add_epi32(sums.scaled, scaled);
      sums.minimums = _mm256_add_epi32(sums.minimums, minimum);
    }
  };
};

// Q6_K: quants of 0..63 minus 32, an int8 scale for every 16 columns.
struct Q6K {
  struct Sums {
    __m256i scaled = _mm256_setzero_si256();
  };

  struct Head {
    static constexpr uint32_t kBytes = 16;
    __m256 d;
    Head(const std::byte* from, uint64_t) : d(load_halves(from)) {}

    void finish(const Sums& sums, float dx, __m256& acc) const {
      __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(dx));
      acc = multiply_add(acc, scale, _mm256_cvtepi32_ps(sums.scaled));
    }
  };

  struct Block : OnePanel {
    static constexpr uint32_t kBytes = 16 + 128 + 64;
    __m256i scales[2];  // of columns 0-15 and 16-31: int16, each row's twice
    __m256i offset;     // 32 times both scales of a row, to be taken off
    __m256i quants[kBlockVectors];

    Block(const std::byte* from, uint64_t) {
      __m128i small = load_half_vector(from);
      scales[0] = _mm256_cvtepi8_epi16(duplicate_low(small));
      scales[1] = _mm256_cvtepi8_epi16(duplicate_high(small));
      __m128i both = _mm_unpacklo_epi8(small, _mm_srli_si128(small, 8));
      offset = _mm256_slli_epi16(_mm256_cvtepi8_epi16(both), 5);
      unpack_nibbles(from + 16, quants);
      __m256i mask = _mm256_set1_epi8(0x30);
      for (uint32_t v = 0; v < 2; ++v) {
        __m256i pairs = load_bytes(from + 16 + 128 + kVectorBytes * v);
        __m256i* four = quants + 4 * v;
        four[0] = _mm256_or_si256(four[0], _mm256_and_si256(_mm256_slli_epi16(pairs, 4), mask));
        four[1] = _mm256_or_si256(four[1], _mm256_and_si256(_mm256_slli_epi16(pairs, 2), mask));
        four[2] = _mm256_or_si256(four[2], _mm256_and_si256(pairs, mask));
        four[3] = _mm256_or_si256(four[3], _mm256_and_si256(_mm256_srli_epi16(pairs, 2), mask));
      }
    }

    // 8 columns: four products of at most 63 * 127 fit an int16.
    __m256i dot8(uint32_t v, const int8_t* x) const {
      return _mm256_add_epi16(_mm256_maddubs_epi16(quants[v], broadcast4(x + 4 * v)),
                              _mm256_maddubs_epi16(quants[v + 1], broadcast4(x + 4 * v + 4)));
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      __m256i first = _mm256_add_epi32(_mm256_madd_epi16(dot8(0, x), scales[0]),
                                       _mm256_madd_epi16(dot8(2, x), scales[0]));
      __m256i second = _mm256_add_epi32(_mm256_madd_epi16(dot8(4, x), scales[1]),
                                        _mm256_madd_epi16(dot8(6, x), scales[1]));
      __m256i minus = _mm256_madd_epi16(offset, broadcast4(x_sums));
      __m256i sum = _mm256_sub_epi32(_mm256_add_epi32(first, second), minus);
      sums.scaled = _mm256_add_epi32(sums.scaled, sum);
    }
  };
};

template <class Format, uint32_t kBlocksPerScale>
constexpr tiles::TileSet kTiles =
    tiles::two_tiles(tiles::super_block_tile<Format, kBlocksPerScale, 1>,
                     tiles::super_block_tile<Format, kBlocksPerScale, 0>);

}  // namespace

tiles::TileSet k_tiles(TensorType type, ActivationForm form) {
  bool large = form == ActivationForm::kQ8Block256;
  if (type == TensorType::kQ4_K) return large ? kTiles<Q4K, 8> : kTiles<Q4K, 1>;
  CHECK(type == TensorType::kQ6_K);
  return large ? kTiles<Q6K, 8> : kTiles<Q6K, 1>;
}

}  // namespace potluck::avx2
