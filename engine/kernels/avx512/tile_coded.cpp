// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: rows are expanded to bytes one by one,
// and then share a product of quants with scales.
#include "engine/base/check.h"
#include "engine/kernels/avx512/super_blocks.h"
#include "engine/kernels/coded_blocks.h"

namespace potluck::avx512 {
namespace {

template <class Coded, int kDivisor, uint32_t kPanels>
struct Format {
  using Int = avx512::Int<kPanels>;
  using Sums = ScaledSums<kPanels>;
  using Head = ScaleHead<kPanels, kDivisor>;

  struct Block : TwoScaleBlock<kPanels, 128> {
    static constexpr uint32_t kBytes = kCodedBytes<Coded>;

    Block(const std::byte* from, uint64_t stride) {
      Int wide[2];
      for (uint32_t row = 0; row < kPanelRows * kPanels; ++row) {
        CodedPart codes;
        load_codes<Coded>(from + row / kPanelRows * stride, row % kPanelRows, codes);
        BlockPart part;
        Coded::expand(codes, part);
        auto* lanes = reinterpret_cast<std::byte*>(this->quants) + 4 * row;
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          __builtin_memcpy(lanes + sizeof(Int) * v, part.q + 4 * v, 4);
        }
        for (uint32_t i = 0; i < 2; ++i) wide[i][row] = part.scale[i];
      }
      add_128<kPanels>(this->quants);
      this->take_scales(wide[0], wide[1]);
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
