// Super-blocks whose quants stand in planes of bits: Q2_K to Q6_K, IQ4_XS, TQ2_0.
#include "engine/kernels/avx2/super_blocks.h"
#include "engine/kernels/codebooks.h"

namespace potluck::avx2 {
namespace {

// Q2_K: for every 16 columns 4 bits of scale and 4 of minimum.
struct Q2K {
  using Sums = MinimumSums;
  using Head = MinimumHead;

  struct Block : OnePanel {
    static constexpr uint32_t kBytes = 16 + 64;
    __m256i scales[2];  // of columns 0-15 and 16-31: int16, each row's twice
    __m256i minimums;   // int16: of both of a row
    __m256i quants[kBlockVectors];

    Block(const std::byte* from, uint64_t) {
      __m128i mask = _mm_set1_epi8(15);
      __m128i both = load_half_vector(from);
      __m128i low = _mm_and_si128(both, mask);
      __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
      scales[0] = _mm256_cvtepu8_epi16(duplicate_low(low));
      scales[1] = _mm256_cvtepu8_epi16(duplicate_high(low));
      minimums = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(high, _mm_srli_si128(high, 8)));
      unpack_pairs(from + 16, quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      __m256i first = _mm256_madd_epi16(dot16(quants, x), scales[0]);
      __m256i second = _mm256_madd_epi16(dot16(quants + 4, x + 16), scales[1]);
      sums.add(_mm256_add_epi32(first, second), _mm256_madd_epi16(minimums, broadcast4(x_sums)));
    }
  };
};

// What Q4_K and Q5_K share: 8 scales and 8 minimums of 6 bits per block, and nibbles.
struct ScaleAndMinimumBlock : OnePanel {
  __m256i scales;    // int16, each row's twice
  __m256i minimums;  // likewise
  __m256i quants[kBlockVectors];

  explicit ScaleAndMinimumBlock(const std::byte* from) {
    __m128i small = load_half_vector(from);
    scales = _mm256_cvtepu8_epi16(duplicate_low(small));
    minimums = _mm256_cvtepu8_epi16(duplicate_high(small));
    unpack_nibbles(from + 16, quants);
  }
};

struct Q4K {
  using Sums = MinimumSums;
  using Head = MinimumHead;

  struct Block : ScaleAndMinimumBlock {
    static constexpr uint32_t kBytes = 16 + 128;

    Block(const std::byte* from, uint64_t) : ScaleAndMinimumBlock(from) {}

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      sums.add(_mm256_madd_epi16(dot_nibbles(quants, x), scales),
               _mm256_madd_epi16(minimums, broadcast4(x_sums)));
    }
  };
};

struct Q5K {
  using Sums = MinimumSums;
  using Head = MinimumHead;

  struct Block : ScaleAndMinimumBlock {
    static constexpr uint32_t kBytes = 16 + 160;

    Block(const std::byte* from, uint64_t) : ScaleAndMinimumBlock(from) {
      add_bits<4>(from + 16 + 128, quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      __m256i first = _mm256_madd_epi16(dot16(quants, x), scales);
      __m256i second = _mm256_madd_epi16(dot16(quants + 4, x + 16), scales);
      sums.add(_mm256_add_epi32(first, second), _mm256_madd_epi16(minimums, broadcast4(x_sums)));
    }
  };
};

// Quants with an offset of 2^kShift, an int8 scale for every 16 columns.
template <int kShift>
struct TwoScaleBlock : OnePanel {
  __m256i scales[2];  // of columns 0-15 and 16-31: int16, each row's twice
  __m256i offset;     // times both scales of a row, to be taken off
  __m256i quants[kBlockVectors];

  explicit TwoScaleBlock(const std::byte* from) {
    __m128i small = load_half_vector(from);
    scales[0] = _mm256_cvtepi8_epi16(duplicate_low(small));
    scales[1] = _mm256_cvtepi8_epi16(duplicate_high(small));
    __m128i both = _mm_unpacklo_epi8(small, _mm_srli_si128(small, 8));
    offset = _mm256_slli_epi16(_mm256_cvtepi8_epi16(both), kShift);
  }

  void add_scaled(__m256i first, __m256i second, const int16_t* x_sums, ScaledSums& sums) const {
    __m256i minus = _mm256_madd_epi16(offset, broadcast4(x_sums));
    __m256i sum = _mm256_sub_epi32(_mm256_add_epi32(first, second), minus);
    sums.scaled = _mm256_add_epi32(sums.scaled, sum);
  }
};

struct Q3K {
  using Sums = ScaledSums;
  using Head = ScaleHead<1>;

  struct Block : TwoScaleBlock<2> {
    static constexpr uint32_t kBytes = 16 + 96;

    Block(const std::byte* from, uint64_t) : TwoScaleBlock(from) {
      unpack_pairs(from + 16, quants);
      add_bits<2>(from + 16 + 64, quants);
    }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      add_scaled(_mm256_madd_epi16(dot16(quants, x), scales[0]),
                 _mm256_madd_epi16(dot16(quants + 4, x + 16), scales[1]), x_sums, sums);
    }
  };
};

struct Q6K {
  using Sums = ScaledSums;
  using Head = ScaleHead<1>;

  struct Block : TwoScaleBlock<5> {
    static constexpr uint32_t kBytes = 16 + 128 + 64;

    Block(const std::byte* from, uint64_t) : TwoScaleBlock(from) {
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
      add_scaled(first, second, x_sums, sums);
    }
  };
};

// IQ4_XS: a signed scale for 32 columns; quants stand for signed bytes.
struct Iq4Xs {
  using Sums = ScaledSums;
  using Head = ScaleHead<1>;

  struct Block : SignedSuperBlock {
    static constexpr uint32_t kBytes = 8 + 128;

    Block(const std::byte* from, uint64_t) {
      __m128i small = _mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from));
      scales[0] = scales[1] = _mm256_cvtepi8_epi16(duplicate_low(small));
      unpack_nibbles(from + 8, quants);
      look_up<0>(codebooks::kIq4, quants);
      take_magnitudes();
    }
  };
};

// TQ2_0: quants of 0..2 minus 1, no scales.
struct Tq2 {
  using Sums = ScaledSums;
  using Head = ScaleHead<1>;

  struct Block : OnePanel {
    static constexpr uint32_t kBytes = 64;
    __m256i quants[kBlockVectors];

    Block(const std::byte* from, uint64_t) { unpack_pairs(from, quants); }

    void add(const int8_t* x, const int16_t* x_sums, Sums& sums) const {
      __m256i dot =
          _mm256_sub_epi32(add_pairs(dot_nibbles(quants, x)), add_pairs(broadcast4(x_sums)));
      sums.scaled = _mm256_add_epi32(sums.scaled, dot);
    }
  };
};

constexpr tiles::FormatTiles kTiles[] = {
    row<Q2K, 8>(TensorType::kQ2_K),     row<Q2K, 1>(TensorType::kQ2_K),
    row<Q3K, 8>(TensorType::kQ3_K),     row<Q3K, 1>(TensorType::kQ3_K),
    row<Q4K, 8>(TensorType::kQ4_K),     row<Q4K, 1>(TensorType::kQ4_K),
    row<Q5K, 8>(TensorType::kQ5_K),     row<Q5K, 1>(TensorType::kQ5_K),
    row<Q6K, 8>(TensorType::kQ6_K),     row<Q6K, 1>(TensorType::kQ6_K),
    row<Iq4Xs, 8>(TensorType::kIQ4_XS), row<Iq4Xs, 1>(TensorType::kIQ4_XS),
    row<Tq2, 8>(TensorType::kTQ2_0),    row<Tq2, 1>(TensorType::kTQ2_0),
};

}  // namespace

std::span<const tiles::FormatTiles> k_tiles() {
  return kTiles;
}

}  // namespace potluck::avx2
