// The tiles of formats whose block of 32 has one scale: Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4; with an
// addend: Q4_1, Q5_1; with a scale for each 16 columns: NVFP4. Written once, for the vectors V of
// any instruction set. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <array>
#include <type_traits>

#include "engine/kernels/codebooks.h"
#include "engine/kernels/formats/unpack.h"
#include "engine/kernels/tile_table.h"

namespace potluck::tiles {

// What all have: the scale of each row in front of the quants.
template <PanelVectors V, BlockQuants<V> Quants>
struct ScaledBlock {
  static constexpr uint32_t kPanels = V::kPanels;
  using Float = typename V::Float;
  Float scale;
  Quants quants;

  explicit ScaledBlock(Float d) : scale(d) {}

  [[gnu::always_inline]] void add(const auto& x, const int16_t* sums, float dx, Float& acc) const {
    // The order that the contract prescribes: scales first, then the integer, one addition.
    acc += (scale * dx) * V::to_float(quants.dot(x, sums));
  }
  static void store(Float acc, uint32_t rows, float* y) { V::store_rows(acc, rows, y); }
};

template <PanelVectors V>
struct Q8_0Block : ScaledBlock<V, typename V::SignedQuants> {
  static constexpr uint32_t kBytes = 16 + 256;

  Q8_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<V, typename V::SignedQuants>(V::load_halves(from, stride)) {
    for (uint32_t v = 0; v < kBlockVectors; ++v) {
      this->quants.vector[v] = V::load_vector(from + 16 + kVectorBytes * v, stride);
    }
    this->quants.finish_signed();
  }
};

template <PanelVectors V>
struct Iq4Block : ScaledBlock<V, typename V::SignedQuants> {
  static constexpr uint32_t kBytes = 16 + 128;

  Iq4Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<V, typename V::SignedQuants>(V::load_halves(from, stride)) {
    unpack_nibbles<V>(from + 16, stride, this->quants.vector);
    look_up<V, V::kSignedBias>(codebooks::kIq4, this->quants.vector);
    this->quants.finish_biased();
  }
};

template <PanelVectors V>
struct Q4_0Block : ScaledBlock<V, typename V::template Quants<15, 8>> {
  static constexpr uint32_t kBytes = 16 + 128;

  Q4_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<V, typename V::template Quants<15, 8>>(V::load_halves(from, stride)) {
    unpack_nibbles<V>(from + 16, stride, this->quants.vector);
  }
};

template <PanelVectors V>
struct Q5_0Block : ScaledBlock<V, typename V::template Quants<31, 16>> {
  static constexpr uint32_t kBytes = 16 + 160;

  Q5_0Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<V, typename V::template Quants<31, 16>>(V::load_halves(from, stride)) {
    unpack_nibbles<V>(from + 16, stride, this->quants.vector);
    add_bits<V, 4>(from + 16 + 128, stride, this->quants.vector);
  }
};

// Twice the numbers -6..6, plus 12.
template <PanelVectors V>
struct Mxfp4Block : ScaledBlock<V, typename V::template Quants<24, 12>> {
  static constexpr uint32_t kBytes = 8 + 128;

  Mxfp4Block(const std::byte* from, uint64_t stride)
      : ScaledBlock<V, typename V::template Quants<24, 12>>(load_exponents<V>(from, stride)) {
    unpack_nibbles<V>(from + 8, stride, this->quants.vector);
    look_up<V, 12>(codebooks::kE2M1, this->quants.vector);
  }
};

// Likewise, with scales of columns 0-15 and 16-31. A scale has four leading bits and a sum of 16
// products fifteen: their product is exact, and the sum of two is rounded once, as that of the
// scalar kernel's integers.
template <PanelVectors V>
struct Nvfp4Block {
  static constexpr uint32_t kPanels = V::kPanels;
  static constexpr uint32_t kBytes = 16 + 128;
  using Float = typename V::Float;
  Float scales[2];
  typename V::template Quants<24, 12> quants;

  Nvfp4Block(const std::byte* from, uint64_t stride)
      : scales{load_small_floats<V>(from, stride), load_small_floats<V>(from + 8, stride)} {
    unpack_nibbles<V>(from + 16, stride, quants.vector);
    look_up<V, 12>(codebooks::kE2M1, quants.vector);
  }

  [[gnu::always_inline]] void add(const auto& x, const int16_t* sums, float dx, Float& acc) const {
    typename V::Int dots[2];
    quants.dots(x, sums, dots);
    acc += (scales[0] * V::to_float(dots[0]) + scales[1] * V::to_float(dots[1])) * (0x1p-10F * dx);
  }
  static void store(Float acc, uint32_t rows, float* y) { V::store_rows(acc, rows, y); }
};

// With -m in each row.
template <PanelVectors V, BlockQuants<V> Quants>
struct MinimumBlock {
  static constexpr uint32_t kPanels = V::kPanels;
  using Float = typename V::Float;
  Float scale;
  Float minimum;
  Quants quants;

  MinimumBlock(const std::byte* from, uint64_t stride)
      : scale(V::load_halves(from, stride)), minimum(V::load_halves(from + 16, stride)) {
    unpack_nibbles<V>(from + 32, stride, quants.vector);
  }

  [[gnu::always_inline]] void add(const auto& x, const int16_t* sums, float dx, Float& acc) const {
    // In this order: what is not needed for the product does not take registers from it.
    Float dot = V::to_float(quants.dot(x, sums));
    Float minimums = (minimum * dx) * static_cast<float>(sums[0] + sums[1]);
    acc += (scale * dx) * dot - minimums;
  }
  static void store(Float acc, uint32_t rows, float* y) { V::store_rows(acc, rows, y); }
};

template <PanelVectors V>
struct Q4_1Block : MinimumBlock<V, typename V::template Quants<15, 0>> {
  static constexpr uint32_t kBytes = 32 + 128;

  using MinimumBlock<V, typename V::template Quants<15, 0>>::MinimumBlock;
};

template <PanelVectors V>
struct Q5_1Block : MinimumBlock<V, typename V::template Quants<31, 0>> {
  static constexpr uint32_t kBytes = 32 + 160;

  Q5_1Block(const std::byte* from, uint64_t stride)
      : MinimumBlock<V, typename V::template Quants<31, 0>>(from, stride) {
    add_bits<V, 4>(from + 32 + 128, stride, this->quants.vector);
  }
};

// Two panels have a tile for every number of tokens: an instruction set with vectors for two also
// has registers for all accumulators.
template <template <class> class Block, PanelVectors One, TwoPanelVectors Two>
constexpr FormatTiles block32_row(TensorType type) {
  FormatTiles row{.type = type,
                  .form = ActivationForm::kQ8Block32,
                  .one_panel = two_tiles(block_tile<Block<One>, 1>, block_tile<Block<One>, 0>)};
  if constexpr (!std::is_void_v<Two>) {
    row.two_panels = tile_set([]<uint32_t kTokens>() { return block_tile<Block<Two>, kTokens>; });
  }
  return row;
}

// For an instruction set with vectors of one panel, and perhaps of two.
template <PanelVectors One, TwoPanelVectors Two = void>
constexpr std::array kBlock32Tiles = {
    block32_row<Q4_0Block, One, Two>(TensorType::kQ4_0),
    block32_row<Q4_1Block, One, Two>(TensorType::kQ4_1),
    block32_row<Q5_0Block, One, Two>(TensorType::kQ5_0),
    block32_row<Q5_1Block, One, Two>(TensorType::kQ5_1),
    block32_row<Q8_0Block, One, Two>(TensorType::kQ8_0),
    block32_row<Iq4Block, One, Two>(TensorType::kIQ4_NL),
    block32_row<Mxfp4Block, One, Two>(TensorType::kMXFP4),
    block32_row<Nvfp4Block, One, Two>(TensorType::kNVFP4),
};

}  // namespace potluck::tiles
