// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: codes are expanded to signed quants,
// one panel at a time.
#include "engine/kernels/avx2/code_vectors.h"
#include "engine/kernels/avx512/super_blocks.h"

namespace potluck::avx512 {
namespace {

// Vectors of one panel, and of two.
static inline Int<1> join(__m256i first) {
  return reinterpret_cast<Int<1>>(first);
}
static inline Int<2> join(__m256i first, __m256i second) {
  return reinterpret_cast<Int<2>>(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
}

template <class Coded, int kDivisor, uint32_t kPanels>
struct Format {
  using Int = avx512::Int<kPanels>;
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, kDivisor>;

  struct Block : TwoScaleBlock<kPanels, 128> {
    static constexpr uint32_t kBytes = kCodedBytes<Coded>;

    Block(const std::byte* from, [[maybe_unused]] uint64_t stride) {
      avx2::CodeVectors first = avx2::expand_codes<Coded>(from);
      if constexpr (kPanels == 1) {
        for (uint32_t v = 0; v < kBlockVectors; ++v) this->quants[v] = join(first.quants[v]);
        this->take_scales(join(first.scales[0]), join(first.scales[1]));
      } else {
        avx2::CodeVectors second = avx2::expand_codes<Coded>(from + stride);
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          this->quants[v] = join(first.quants[v], second.quants[v]);
        }
        this->take_scales(join(first.scales[0], second.scales[0]),
                          join(first.scales[1], second.scales[1]));
      }
      add_128<kPanels>(this->quants);
    }
  };
};

// Expanding takes far longer than a product: any number of tokens has the same tile.
template <class Coded, int kDivisor, uint32_t kBlocksPerScale>
constexpr tiles::FormatTiles coded_row(TensorType type) {
  using One = Format<Coded, kDivisor, 1>;
  using Two = Format<Coded, kDivisor, 2>;
  return {.type = type,
          .form = tiles::form_of(kBlocksPerScale),
          .one_panel = tiles::two_tiles(tiles::super_block_tile<One, kBlocksPerScale, 1>,
                                        tiles::super_block_tile<One, kBlocksPerScale, 0>),
          .two_panels = tiles::two_tiles(tiles::super_block_tile<Two, kBlocksPerScale, 1>,
                                         tiles::super_block_tile<Two, kBlocksPerScale, 0>)};
}

constexpr tiles::FormatTiles kTiles[] = {
    coded_row<Iq1S, 8, 8>(TensorType::kIQ1_S),     coded_row<Iq1S, 8, 1>(TensorType::kIQ1_S),
    coded_row<Iq1M, 8, 8>(TensorType::kIQ1_M),     coded_row<Iq1M, 8, 1>(TensorType::kIQ1_M),
    coded_row<Iq2Xxs, 8, 8>(TensorType::kIQ2_XXS), coded_row<Iq2Xxs, 8, 1>(TensorType::kIQ2_XXS),
    coded_row<Iq2Xs, 8, 8>(TensorType::kIQ2_XS),   coded_row<Iq2Xs, 8, 1>(TensorType::kIQ2_XS),
    coded_row<Iq2S, 8, 8>(TensorType::kIQ2_S),     coded_row<Iq2S, 8, 1>(TensorType::kIQ2_S),
    coded_row<Iq3Xxs, 4, 8>(TensorType::kIQ3_XXS), coded_row<Iq3Xxs, 4, 1>(TensorType::kIQ3_XXS),
    coded_row<Iq3S, 1, 8>(TensorType::kIQ3_S),     coded_row<Iq3S, 1, 1>(TensorType::kIQ3_S),
    coded_row<Tq1, 1, 8>(TensorType::kTQ1_0),      coded_row<Tq1, 1, 1>(TensorType::kTQ1_0),
};

}  // namespace

std::span<const tiles::FormatTiles> coded_tiles() {
  return kTiles;
}

}  // namespace potluck::avx512
