// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: codes are expanded to signed quants,
// one panel at a time.
#include "engine/base/check.h"
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
template <class Coded, int kDivisor>
TileSets sets(ActivationForm form) {
  using One = Format<Coded, kDivisor, 1>;
  using Two = Format<Coded, kDivisor, 2>;
  constexpr auto tile_sets = []<uint32_t kBlocks>() -> TileSets {
    return {tiles::two_tiles(tiles::super_block_tile<One, kBlocks, 1>,
                             tiles::super_block_tile<One, kBlocks, 0>),
            tiles::two_tiles(tiles::super_block_tile<Two, kBlocks, 1>,
                             tiles::super_block_tile<Two, kBlocks, 0>)};
  };
  bool large = form == ActivationForm::kQ8Block256;
  return large ? tile_sets.template operator()<8>() : tile_sets.template operator()<1>();
}

}  // namespace

TileSets coded_tiles(TensorType type, ActivationForm form) {
  switch (type) {
    case TensorType::kIQ1_S:
      return sets<Iq1S, 8>(form);
    case TensorType::kIQ1_M:
      return sets<Iq1M, 8>(form);
    case TensorType::kIQ2_XXS:
      return sets<Iq2Xxs, 8>(form);
    case TensorType::kIQ2_XS:
      return sets<Iq2Xs, 8>(form);
    case TensorType::kIQ2_S:
      return sets<Iq2S, 8>(form);
    case TensorType::kIQ3_XXS:
      return sets<Iq3Xxs, 4>(form);
    case TensorType::kIQ3_S:
      return sets<Iq3S, 1>(form);
    default:
      CHECK(type == TensorType::kTQ1_0);
      return sets<Tq1, 1>(form);
  }
}

}  // namespace potluck::avx512
