// Formats whose block of 32 has one scale: Q8_0, Q4_0.
#include "engine/base/check.h"
#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tile_output.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

struct Q8_0Block {
  static constexpr uint32_t kBytes = 16 + 256;
  __m256 scale;
  __m256i quants[kBlockVectors];
  __m256i magnitudes[kBlockVectors];

  explicit Q8_0Block(const std::byte* from) : scale(load_halves(from)) {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      quants[v] = load_bytes(from + 16 + kVectorBytes * v);
      magnitudes[v] = _mm256_abs_epi8(quants[v]);
    }
  }

  // |w| * (x with w's sign): unsigned by signed, as the instruction wants it. |w| may be 128; two
  // products of at most 128 * 127 fit an int16.
  __m256i dot(const int8_t* x, const int16_t*) const {
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      __m256i signed_x = _mm256_sign_epi8(broadcast4(x + 4 * v), quants[v]);
      sum = _mm256_add_epi32(sum, add_pairs(_mm256_maddubs_epi16(magnitudes[v], signed_x)));
    }
    return sum;
  }
};

struct Q4_0Block {
  static constexpr uint32_t kBytes = 16 + 128;
  __m256 scale;
  __m256i quants[kBlockVectors];

  explicit Q4_0Block(const std::byte* from) : scale(load_halves(from)) {
    unpack_nibbles(from + 16, quants);
  }

  // The offset of 8 is taken off through the sum of x.
  __m256i dot(const int8_t* x, const int16_t* sums) const {
    __m256i offset = _mm256_set1_epi32(8 * (sums[0] + sums[1]));
    return _mm256_sub_epi32(add_pairs(dot_nibbles(quants, x)), offset);
  }
};

template <class Block, bool kOneToken>
void tile(const PanelShape& shape, const std::byte* panel, const TokenRow* x, uint32_t tokens,
          const TileOutput& out) {
  if constexpr (kOneToken) tokens = 1;
  __m256 acc[kOneToken ? 1 : kTileTokens] = {};
  uint32_t blocks = (shape.columns + kBlockColumns - 1) / kBlockColumns;
  for (uint32_t block = 0; block < blocks; ++block) {
    const std::byte* from = panel + uint64_t{block} * Block::kBytes;
    prefetch_block<Block::kBytes>(from);
    Block w(from);
    for (uint32_t t = 0; t < tokens; ++t) {
      __m256i dot = w.dot(x[t].quants + kBlockColumns * block, x[t].sums + 2 * block);
      __m256 scale = _mm256_mul_ps(w.scale, _mm256_set1_ps(x[t].scales[block]));
      acc[t] = multiply_add(acc[t], scale, _mm256_cvtepi32_ps(dot));
    }
  }
  store_tile(acc, tokens, out);
}

}  // namespace

QuantizedTile block32_tile(TensorType type, bool one_token) {
  if (type == TensorType::kQ8_0) return one_token ? tile<Q8_0Block, true> : tile<Q8_0Block, false>;
  CHECK(type == TensorType::kQ4_0);
  return one_token ? tile<Q4_0Block, true> : tile<Q4_0Block, false>;
}

}  // namespace potluck::avx2
