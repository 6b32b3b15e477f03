// Formats of super-blocks of 256 with sub-scales: Q4_K, Q6_K. Integer sums are scaled by sub-scales
// as integers; they meet the float scales once per block of the activations.
#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tile_output.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

constexpr uint32_t kSuperBlock = 256;

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
    explicit Head(const std::byte* from) : d(load_halves(from)), dmin(load_halves(from + 16)) {}

    __m256 finish(__m256 acc, const Sums& sums, float dx) const {
      __m256 x = _mm256_set1_ps(dx);
      __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(d, x), _mm256_cvtepi32_ps(sums.scaled));
      __m256 minimums = _mm256_mul_ps(_mm256_mul_ps(dmin, x), _mm256_cvtepi32_ps(sums.minimums));
      return _mm256_add_ps(acc, _mm256_sub_ps(scaled, minimums));
    }
  };

  struct Block {
    static constexpr uint32_t kBytes = 16 + 128;
    __m256i scales;    // int16, each row's twice
    __m256i minimums;  // likewise
    __m256i quants[kBlockVectors];

    explicit Block(const std::byte* from) {
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
    explicit Head(const std::byte* from) : d(load_halves(from)) {}

    __m256 finish(__m256 acc, const Sums& sums, float dx) const {
      __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(dx));
      return multiply_add(acc, scale, _mm256_cvtepi32_ps(sums.scaled));
    }
  };

  struct Block {
    static constexpr uint32_t kBytes = 16 + 128 + 64;
    __m256i scales[2];  // of columns 0-15 and 16-31: int16, each row's twice
    __m256i offset;     // 32 times both scales of a row, to be taken off
    __m256i quants[kBlockVectors];

    explicit Block(const std::byte* from) {
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

template <class Format, ActivationForm kForm, bool kOneToken>
void tile(const PanelShape& shape, const std::byte* panel, const TokenRow* x, uint32_t tokens,
          const TileOutput& out) {
  constexpr uint32_t kBlocksPerScale = activation_block(kForm) / kBlockColumns;
  constexpr uint32_t kTokens = kOneToken ? 1 : kTileTokens;
  if constexpr (kOneToken) tokens = 1;
  __m256 acc[kTokens] = {};
  uint32_t blocks = (shape.columns + kBlockColumns - 1) / kBlockColumns;
  uint32_t block = 0;
  while (block < blocks) {
    // The rest of one super-block: `count` blocks under one head.
    uint32_t place = (shape.phase / kBlockColumns + block) % (kSuperBlock / kBlockColumns);
    uint32_t end = block + kSuperBlock / kBlockColumns - place;
    if (end > blocks) end = blocks;
    typename Format::Head head(panel);
    panel += Format::Head::kBytes;
    typename Format::Sums sums[kTokens];
    for (; block < end; ++block) {
      prefetch_block<Format::Block::kBytes>(panel);
      typename Format::Block w(panel);
      panel += Format::Block::kBytes;
      for (uint32_t t = 0; t < tokens; ++t) {
        w.add(x[t].quants + kBlockColumns * block, x[t].sums + 2 * block, sums[t]);
        if constexpr (kBlocksPerScale == 1) {
          acc[t] = head.finish(acc[t], sums[t], x[t].scales[block]);
          sums[t] = {};
        }
      }
    }
    if constexpr (kBlocksPerScale != 1) {
      for (uint32_t t = 0; t < tokens; ++t) {
        acc[t] = head.finish(acc[t], sums[t], x[t].scales[(block - 1) / kBlocksPerScale]);
      }
    }
  }
  store_tile(acc, tokens, out);
}

template <class Format>
QuantizedTile choose(ActivationForm form, bool one_token) {
  constexpr ActivationForm kSmall = ActivationForm::kQ8Block32;
  constexpr ActivationForm kLarge = ActivationForm::kQ8Block256;
  if (form == kLarge) return one_token ? tile<Format, kLarge, true> : tile<Format, kLarge, false>;
  return one_token ? tile<Format, kSmall, true> : tile<Format, kSmall, false>;
}

}  // namespace

QuantizedTile q4_k_tile(ActivationForm form, bool one_token) {
  return choose<Q4K>(form, one_token);
}

QuantizedTile q6_k_tile(ActivationForm form, bool one_token) {
  return choose<Q6K>(form, one_token);
}

}  // namespace potluck::avx2
