// The formats of large codebooks (IQ1, IQ2, IQ3) and TQ1_0: rows are expanded to bytes one by one,
// and then share a product with signed quants.
#include "engine/base/check.h"
#include "engine/kernels/avx2/super_blocks.h"
#include "engine/kernels/coded_blocks.h"

namespace potluck::avx2 {
namespace {

template <class Coded, int kDivisor>
struct Format {
  using Sums = ScaledSums;
  using Head = ScaleHead<kDivisor>;

  struct Block : SignedSuperBlock {
    static constexpr uint32_t kBytes = kCodedBytes<Coded>;

    Block(const std::byte* from, uint64_t) {
      int32_t words[kBlockVectors][kPanelRows];  // 4 columns each
      int16_t wide[2][2 * kPanelRows];           // scales, each twice
      for (uint32_t row = 0; row < kPanelRows; ++row) {
        CodedPart codes;
        load_codes<Coded>(from, row, codes);
        BlockPart part;
        Coded::expand(codes, part);
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          __builtin_memcpy(&words[v][row], part.q + 4 * v, 4);
        }
        for (uint32_t i = 0; i < 2; ++i) wide[i][2 * row] = wide[i][2 * row + 1] = part.scale[i];
      }
      for (uint32_t v = 0; v < kBlockVectors; ++v) quants[v] = load_bytes(words[v]);
      for (uint32_t i = 0; i < 2; ++i) scales[i] = load_bytes(wide[i]);
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
