// Formats whose block of 32 has one scale: Q8_0, Q4_0.
#include "engine/base/check.h"
#include "engine/kernels/avx2/quant_vectors.h"
#include "engine/kernels/avx2/tiles.h"

namespace potluck::avx2 {
namespace {

// What both have: the scale of each row in front of the quants.
struct ScaledBlock {
  using Float = __m256;
  static constexpr uint32_t kPanels = 1;
  __m256 scale;

  explicit ScaledBlock(const std::byte* from) : scale(load_halves(from)) {}

  void add_scaled(__m256i dot, float dx, __m256& acc) const {
    __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(dx));
    acc = multiply_add(acc, both, _mm256_cvtepi32_ps(dot));
  }
  static void store(__m256 acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

struct Q8_0Block : ScaledBlock {
  static constexpr uint32_t kBytes = 16 + 256;
  __m256i quants[kBlockVectors];
  __m256i magnitudes[kBlockVectors];

  Q8_0Block(const std::byte* from, uint64_t) : ScaledBlock(from) {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      quants[v] = load_bytes(from + 16 + kVectorBytes * v);
      magnitudes[v] = _mm256_abs_epi8(quants[v]);
    }
  }

  // |w| * (x with w's sign): unsigned by signed, as the instruction wants it. |w| may be 128; two
  // products of at most 128 * 127 fit an int16.
  void add(const int8_t* x, const int16_t*, float dx, __m256& acc) const {
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      __m256i signed_x = _mm256_sign_epi8(broadcast4(x + 4 * v), quants[v]);
      sum = _mm256_add_epi32(sum, add_pairs(_mm256_maddubs_epi16(magnitudes[v], signed_x)));
    }
    add_scaled(sum, dx, acc);
  }
};

struct Q4_0Block : ScaledBlock {
  static constexpr uint32_t kBytes = 16 + 128;
  __m256i quants[kBlockVectors];

  Q4_0Block(const std::byte* from, uint64_t) : ScaledBlock(from) {
    unpack_nibbles(from + 16, quants);
  }

  // The offset of 8 is taken off through the sum of x.
  void add(const int8_t* x, const int16_t* sums, float dx, __m256& acc) const {
    __m256i offset = _mm256_set1_epi32(8 * (sums[0] + sums[1]));
    add_scaled(_mm256_sub_epi32(add_pairs(dot_nibbles(quants, x)), offset), dx, acc);
  }
};

template <class Block>
constexpr tiles::TileSet kTiles = tiles::two_tiles(tiles::block_tile<Block, 1>,
                                                   tiles::block_tile<Block, 0>);

}  // namespace

tiles::TileSet block32_tiles(TensorType type) {
  if (type == TensorType::kQ8_0) return kTiles<Q8_0Block>;
  CHECK(type == TensorType::kQ4_0);
  return kTiles<Q4_0Block>;
}

}  // namespace potluck::avx2
