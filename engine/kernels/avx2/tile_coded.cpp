// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: codes are expanded to signed quants.
#include "engine/kernels/avx2/code_vectors.h"
#include "engine/kernels/avx2/super_blocks.h"

namespace potluck::avx2 {
namespace {

template <class Coded, int kDivisor>
struct Format {
  using Sums = ScaledSums;
  using Head = ScaleHead<kDivisor>;

  struct Block : SignedSuperBlock {
    static constexpr uint32_t kBytes = kCodedBytes<Coded>;

    Block(const std::byte* from, uint64_t) {
      CodeVectors codes = expand_codes<Coded>(from);
      for (uint32_t v = 0; v < kBlockVectors; ++v) quants[v] = codes.quants[v];
      for (uint32_t i = 0; i < 2; ++i) {
        __m256i low = _mm256_and_si256(codes.scales[i], _mm256_set1_epi32(0xffff));
        scales[i] = above(low, low, 16);
      }
      take_magnitudes();
    }
  };
};

constexpr tiles::FormatTiles kTiles[] = {
    row<Format<Iq1S, 8>, 8>(TensorType::kIQ1_S),
    row<Format<Iq1S, 8>, 1>(TensorType::kIQ1_S),
    row<Format<Iq1M, 8>, 8>(TensorType::kIQ1_M),
    row<Format<Iq1M, 8>, 1>(TensorType::kIQ1_M),
    row<Format<Iq2Xxs, 8>, 8>(TensorType::kIQ2_XXS),
    row<Format<Iq2Xxs, 8>, 1>(TensorType::kIQ2_XXS),
    row<Format<Iq2Xs, 8>, 8>(TensorType::kIQ2_XS),
    row<Format<Iq2Xs, 8>, 1>(TensorType::kIQ2_XS),
    row<Format<Iq2S, 8>, 8>(TensorType::kIQ2_S),
    row<Format<Iq2S, 8>, 1>(TensorType::kIQ2_S),
    row<Format<Iq3Xxs, 4>, 8>(TensorType::kIQ3_XXS),
    row<Format<Iq3Xxs, 4>, 1>(TensorType::kIQ3_XXS),
    row<Format<Iq3S, 1>, 8>(TensorType::kIQ3_S),
    row<Format<Iq3S, 1>, 1>(TensorType::kIQ3_S),
    row<Format<Tq1, 1>, 8>(TensorType::kTQ1_0),
    row<Format<Tq1, 1>, 1>(TensorType::kTQ1_0),
};

}  // namespace

std::span<const tiles::FormatTiles> coded_tiles() {
  return kTiles;
}

}  // namespace potluck::avx2
