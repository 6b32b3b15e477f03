// What the super-blocks of 256 columns have in common: heads, integer sums, and blocks with a scale
// for each 16 columns. Integer sums are scaled by sub-scales as integers; they meet the float
// scales once per block of the activations. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include "engine/kernels/avx512/quant_vectors.h"
#include "engine/kernels/avx512/tiles.h"

namespace potluck::avx512 {
namespace {

// What all blocks have.
template <uint32_t kPanelCount>
struct BlockBase {
  static constexpr uint32_t kPanels = kPanelCount;
  using Float = avx512::Float<kPanels>;
  using Int = avx512::Int<kPanels>;
  Int quants[kBlockVectors];

  static void store(Float acc, uint32_t rows, float* y) { store_rows(acc, rows, y); }
};

// d alone, divided by kDivisor (a power of two).
template <uint32_t kPanels>
struct ScaledSums {
  Int<kPanels> scaled{};
};

template <uint32_t kPanels, int kDivisor>
struct ScaleHead {
  static constexpr uint32_t kBytes = 16;
  Float<kPanels> d;
  ScaleHead(const std::byte* from, uint64_t stride)
      : d(load_halves<kPanels>(from, stride) * (1.0F / kDivisor)) {}

  void finish(const ScaledSums<kPanels>& sums, float dx, Float<kPanels>& acc) const {
    acc += (d * dx) * to_float<kPanels>(sums.scaled);
  }
};

// d and dmin.
template <uint32_t kPanels>
struct MinimumSums {
  Int<kPanels> scaled{};
  Int<kPanels> minimums{};
};

template <uint32_t kPanels>
struct MinimumHead {
  static constexpr uint32_t kBytes = 32;
  Float<kPanels> d;
  Float<kPanels> dmin;
  MinimumHead(const std::byte* from, uint64_t stride)
      : d(load_halves<kPanels>(from, stride)), dmin(load_halves<kPanels>(from + 16, stride)) {}

  void finish(const MinimumSums<kPanels>& sums, float dx, Float<kPanels>& acc) const {
    acc +=
        (d * dx) * to_float<kPanels>(sums.scaled) - (dmin * dx) * to_float<kPanels>(sums.minimums);
  }
};

// Quants with an offset, a signed scale for every 16 columns.
template <uint32_t kPanels, int kOffset>
struct TwoScaleBlock : BlockBase<kPanels> {
  using Int = avx512::Int<kPanels>;
  Int scales[2];  // of columns 0-15 and 16-31
  Int offsets;    // -kOffset times both scales of a row: int16

  void take_scales(Int low, Int high) {
    scales[0] = low;
    scales[1] = high;
    offsets = ((low * -kOffset) & 0xffff) | ((high * -kOffset) << 16);
  }

  void add(const int8_t* x, const int16_t* x_sums, ScaledSums<kPanels>& sums) const {
    Int first = dot16<kPanels>(Int{}, this->quants, x) * scales[0];
    Int second = dot16<kPanels>(Int{}, this->quants + 4, x + 16) * scales[1];
    Int rest = dot_pairs(sums.scaled, offsets, broadcast4<kPanels>(x_sums));
    sums.scaled = rest + (first + second);
  }
};

template <class Format, uint32_t kBlocksPerScale, uint32_t... kBefore>
constexpr tiles::TileSet tile_set(std::integer_sequence<uint32_t, kBefore...>) {
  return {{tiles::super_block_tile<Format, kBlocksPerScale, kBefore + 1>...}};
}

template <template <uint32_t> class Format, uint32_t kBlocksPerScale>
constexpr tiles::FormatTiles row(TensorType type) {
  return {.type = type,
          .form = tiles::form_of(kBlocksPerScale),
          .one_panel = tiles::two_tiles(tiles::super_block_tile<Format<1>, kBlocksPerScale, 1>,
                                        tiles::super_block_tile<Format<1>, kBlocksPerScale, 0>),
          .two_panels = tile_set<Format<2>, kBlocksPerScale>(Tokens{})};
}

}  // namespace
}  // namespace potluck::avx512
