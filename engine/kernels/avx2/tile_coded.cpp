// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: codes are expanded to signed quants.
#include "engine/base/check.h"
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

}  // namespace

tiles::TileSet coded_tiles(TensorType type, ActivationForm form) {
  switch (type) {
    case TensorType::kIQ1_S:
      return tiles_of<Format<Iq1S, 8>>(form);
    case TensorType::kIQ1_M:
      return tiles_of<Format<Iq1M, 8>>(form);
    case TensorType::kIQ2_XXS:
      return tiles_of<Format<Iq2Xxs, 8>>(form);
    case TensorType::kIQ2_XS:
      return tiles_of<Format<Iq2Xs, 8>>(form);
    case TensorType::kIQ2_S:
      return tiles_of<Format<Iq2S, 8>>(form);
    case TensorType::kIQ3_XXS:
      return tiles_of<Format<Iq3Xxs, 4>>(form);
    case TensorType::kIQ3_S:
      return tiles_of<Format<Iq3S, 1>>(form);
    default:
      CHECK(type == TensorType::kTQ1_0);
      return tiles_of<Format<Tq1, 1>>(form);
  }
}

}  // namespace potluck::avx2
