// What the tiles of super-blocks of 256 columns have in common: heads, integer sums, and blocks
// whose quants stand for themselves less an offset. Integer sums are scaled by sub-scales as
// integers; they meet the float scales once per block of the activations. Written once, for the
// vectors V of any instruction set. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <array>
#include <type_traits>

#include "engine/kernels/formats/unpack.h"
#include "engine/kernels/tile_table.h"

namespace potluck::tiles {

// d alone, divided by kDivisor (a power of two).
template <PanelVectors V>
struct ScaledSums {
  typename V::Int scaled;

  void add(const ScaledSums& more) { scaled += more.scaled; }
};

template <PanelVectors V, int kDivisor>
struct ScaleHead {
  static constexpr uint32_t kBytes = 16;
  typename V::Float d;

  ScaleHead(const std::byte* from, uint64_t stride)
      : d(V::load_halves(from, stride) * (1.0F / kDivisor)) {}

  void finish(const ScaledSums<V>& sums, float dx, typename V::Float& acc) const {
    acc += (d * dx) * V::to_float(sums.scaled);
  }
};

// Likewise, for quants without sub-scales that stand for themselves less kOffset: it is taken off
// once, with the sum of the activations.
template <PanelVectors V>
struct OffsetSums {
  typename V::Int products;
  int32_t x;

  void add(const OffsetSums& more) {
    products += more.products;
    x += more.x;
  }
};

template <PanelVectors V, int kOffset>
struct OffsetHead {
  static constexpr uint32_t kBytes = 16;
  typename V::Float d;

  OffsetHead(const std::byte* from, uint64_t stride) : d(V::load_halves(from, stride)) {}

  void finish(const OffsetSums<V>& sums, float dx, typename V::Float& acc) const {
    acc += (d * dx) * V::to_float(sums.products - kOffset * sums.x);
  }
};

// d and dmin.
template <PanelVectors V>
struct MinimumSums {
  typename V::Int scaled;
  typename V::Int minimums;
};

template <PanelVectors V>
struct MinimumHead {
  static constexpr uint32_t kBytes = 32;
  typename V::Float d;
  typename V::Float dmin;

  MinimumHead(const std::byte* from, uint64_t stride)
      : d(V::load_halves(from, stride)), dmin(V::load_halves(from + 16, stride)) {}

  void finish(const MinimumSums<V>& sums, float dx, typename V::Float& acc) const {
    acc += (d * dx) * V::to_float(sums.scaled) - (dmin * dx) * V::to_float(sums.minimums);
  }
};

// What all blocks have.
template <PanelVectors V>
struct SuperBlock {
  static constexpr uint32_t kPanels = V::kPanels;
  using Int = typename V::Int;
  using Float = typename V::Float;

  static void store(Float acc, uint32_t rows, float* y) { V::store_rows(acc, rows, y); }
};

// Quants without sub-scales, for OffsetSums.
template <PanelVectors V, int kMost>
struct PlainBlock : SuperBlock<V> {
  typename V::template Quants<kMost, 0> quants;

  [[gnu::always_inline]] void add(const auto& x, const int16_t* x_sums, OffsetSums<V>& sums) const {
    sums.products = quants.dot(x, x_sums, sums.products);
    sums.x += x_sums[0] + x_sums[1];
  }
};

// Quants with an offset, and signed scales: one for columns 0-15 and one for 16-31, or (kScales 1)
// one for all. The offset of a row is taken off with the sums of x, once per 16 columns instead of
// at each quant.
template <PanelVectors V, BlockQuants<V> Quants, int kOffset, int kScales>
struct OffsetBlock : SuperBlock<V> {
  using Int = typename V::Int;
  Int factors[kScales];
  Int offsets;  // -kOffset times both scales of a row: int16
  Quants quants;

  [[gnu::always_inline]] void take_scales(Int first, Int second) {
    factors[0] = V::factor(first);
    if constexpr (kScales == 2) factors[1] = V::factor(second);
    if constexpr (kOffset != 0) offsets = V::multiply_words(V::pair(first, second), -kOffset);
  }

  [[gnu::always_inline]] void add(const auto& x, [[maybe_unused]] const int16_t* x_sums,
                                  ScaledSums<V>& sums) const {
    if constexpr (kOffset != 0) sums.scaled = V::add_pairs(sums.scaled, offsets, x_sums);
    if constexpr (kScales == 1) sums.scaled += quants.scaled(x, factors[0]);
    if constexpr (kScales == 2) sums.scaled += quants.scaled(x, factors[0], factors[1]);
  }
};

// The tiles of one format for activations in blocks of 256 or of 32.
template <class One, uint32_t kBlocksPerScale>
constexpr FormatTiles one_panel_row(TensorType type) {
  return {.type = type,
          .form = form_of(kBlocksPerScale),
          .one_panel = two_tiles(super_block_tile<One, kBlocksPerScale, 1>,
                                 super_block_tile<One, kBlocksPerScale, 0>)};
}

}  // namespace potluck::tiles
