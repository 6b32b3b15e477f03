// The tiles of super-blocks whose quants stand in planes of bits: Q2_K to Q6_K, IQ4_XS, TQ2_0, and
// the shorter ones of Q1_0 and Q2_0.
// Written once, for the vectors V of any instruction set. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include "engine/kernels/codebooks.h"
#include "engine/kernels/formats/super_blocks.h"

namespace potluck::tiles {

// Q2_K: for every 16 columns 4 bits of scale and 4 of minimum.
template <PanelVectors V>
struct Q2K {
  using Sums = MinimumSums<V>;
  using Head = MinimumHead<V>;

  struct Block : SuperBlock<V> {
    static constexpr uint32_t kBytes = 16 + 64;
    using Int = typename V::Int;
    Int factors[2];  // of columns 0-15 and 16-31
    Int minimums;    // int16: of both of a row
    typename V::template Quants<3, 0> quants;

    Block(const std::byte* from, uint64_t stride) {
      Int low = V::load_unsigned(from, stride);
      Int high = V::load_unsigned(from + 8, stride);
      factors[0] = V::factor(low & 15);
      factors[1] = V::factor(high & 15);
      minimums = V::pair(low >> 4, high >> 4);
      unpack_pairs<V>(from + 16, stride, quants.vector);
    }

    [[gnu::always_inline]] void add(const auto& x, const int16_t* x_sums, Sums& sums) const {
      sums.scaled += quants.scaled(x, factors[0], factors[1]);
      sums.minimums = V::add_pairs(sums.minimums, minimums, x_sums);
    }
  };
};

// What Q4_K and Q5_K share: a scale and a minimum of 6 bits for 32 columns, and nibbles.
template <PanelVectors V, int kMost>
struct ScaleAndMinimumBlock : SuperBlock<V> {
  using Int = typename V::Int;
  Int factor;
  Int minimums;  // int16, each row's twice
  typename V::template Quants<kMost, 0> quants;

  ScaleAndMinimumBlock(const std::byte* from, uint64_t stride) {
    Int minimum = V::load_unsigned(from + 8, stride);
    factor = V::factor(V::load_unsigned(from, stride));
    minimums = V::pair(minimum, minimum);
    unpack_nibbles<V>(from + 16, stride, quants.vector);
  }

  [[gnu::always_inline]] void add(const auto& x, const int16_t* x_sums,
                                  MinimumSums<V>& sums) const {
    sums.scaled += quants.scaled(x, factor);
    sums.minimums = V::add_pairs(sums.minimums, minimums, x_sums);
  }
};

template <PanelVectors V>
struct Q4K {
  using Sums = MinimumSums<V>;
  using Head = MinimumHead<V>;

  struct Block : ScaleAndMinimumBlock<V, 15> {
    static constexpr uint32_t kBytes = 16 + 128;

    using ScaleAndMinimumBlock<V, 15>::ScaleAndMinimumBlock;
  };
};

template <PanelVectors V>
struct Q5K {
  using Sums = MinimumSums<V>;
  using Head = MinimumHead<V>;

  struct Block : ScaleAndMinimumBlock<V, 31> {
    static constexpr uint32_t kBytes = 16 + 160;

    Block(const std::byte* from, uint64_t stride) : ScaleAndMinimumBlock<V, 31>(from, stride) {
      add_bits<V, 4>(from + 16 + 128, stride, this->quants.vector);
    }
  };
};

template <PanelVectors V>
struct Q3K {
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, 1>;

  struct Block : OffsetBlock<V, typename V::template Quants<7, 0>, 4, 2> {
    static constexpr uint32_t kBytes = 16 + 96;

    Block(const std::byte* from, uint64_t stride) {
      this->take_scales(V::load_signed(from, stride), V::load_signed(from + 8, stride));
      unpack_pairs<V>(from + 16, stride, this->quants.vector);
      add_bits<V, 2>(from + 16 + 64, stride, this->quants.vector);
    }
  };
};

template <PanelVectors V>
struct Q6K {
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, 1>;

  struct Block : OffsetBlock<V, typename V::template Quants<63, 0>, 32, 2> {
    static constexpr uint32_t kBytes = 16 + 128 + 64;

    Block(const std::byte* from, uint64_t stride) {
      this->take_scales(V::load_signed(from, stride), V::load_signed(from + 8, stride));
      unpack_nibbles<V>(from + 16, stride, this->quants.vector);
      add_pairs_of_bits<V>(from + 16 + 128, stride, this->quants.vector);
    }
  };
};

// IQ4_XS: a signed scale for 32 columns; quants stand for signed bytes.
template <PanelVectors V>
struct Iq4Xs {
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, 1>;

  struct Block : OffsetBlock<V, typename V::SignedQuants, V::kSignedBias, 1> {
    static constexpr uint32_t kBytes = 8 + 128;

    Block(const std::byte* from, uint64_t stride) {
      typename V::Int scale = V::load_signed(from, stride);
      this->take_scales(scale, scale);
      unpack_nibbles<V>(from + 8, stride, this->quants.vector);
      look_up<V, V::kSignedBias>(codebooks::kIq4, this->quants.vector);
      this->quants.finish_biased();
    }
  };
};

// TQ2_0: quants of 0..2 minus 1, no scales.
template <PanelVectors V>
struct Tq2 {
  using Sums = OffsetSums<V>;
  using Head = OffsetHead<V, 1>;

  struct Block : PlainBlock<V, 3> {
    static constexpr uint32_t kBytes = 64;

    Block(const std::byte* from, uint64_t stride) {
      unpack_pairs<V>(from, stride, this->quants.vector);
    }
  };
};

// Q1_0 and Q2_0: super-blocks so short that activations always come in blocks of 32.
template <PanelVectors V>
struct ShortBlock : SuperBlock<V> {
  typename V::template Quants<3, 1> quants;

  [[gnu::always_inline]] void add(const auto& x, const int16_t* x_sums, ScaledSums<V>& sums) const {
    sums.scaled = quants.dot(x, x_sums, sums.scaled);
  }
};

// Quants up to 3, minus 1.
template <PanelVectors V>
struct Q2_0 {
  static constexpr uint32_t kBlocksPerHead = 2;
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, 1>;

  struct Block : ShortBlock<V> {
    static constexpr uint32_t kBytes = 64;

    Block(const std::byte* from, uint64_t stride) {
      unpack_pairs<V>(from, stride, this->quants.vector);
    }
  };
};

// Twice 0 or 1, minus 1.
template <PanelVectors V>
struct Q1_0 {
  static constexpr uint32_t kBlocksPerHead = 4;
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, 1>;

  struct Block : ShortBlock<V> {
    static constexpr uint32_t kBytes = 32;

    Block(const std::byte* from, uint64_t stride) {
      unpack_signs<V>(from, stride, this->quants.vector);
    }
  };
};

template <template <class> class Format, uint32_t kBlocksPerScale, PanelVectors One,
          TwoPanelVectors Two>
constexpr FormatTiles k_row(TensorType type) {
  FormatTiles row = one_panel_row<Format<One>, kBlocksPerScale>(type);
  if constexpr (!std::is_void_v<Two>) {
    row.two_panels = tile_set(
        []<uint32_t kTokens>() { return super_block_tile<Format<Two>, kBlocksPerScale, kTokens>; });
  }
  return row;
}

// For an instruction set with vectors of one panel, and perhaps of two.
template <PanelVectors One, TwoPanelVectors Two = void>
constexpr std::array kKTiles = {
    k_row<Q2K, 8, One, Two>(TensorType::kQ2_K),     k_row<Q2K, 1, One, Two>(TensorType::kQ2_K),
    k_row<Q3K, 8, One, Two>(TensorType::kQ3_K),     k_row<Q3K, 1, One, Two>(TensorType::kQ3_K),
    k_row<Q4K, 8, One, Two>(TensorType::kQ4_K),     k_row<Q4K, 1, One, Two>(TensorType::kQ4_K),
    k_row<Q5K, 8, One, Two>(TensorType::kQ5_K),     k_row<Q5K, 1, One, Two>(TensorType::kQ5_K),
    k_row<Q6K, 8, One, Two>(TensorType::kQ6_K),     k_row<Q6K, 1, One, Two>(TensorType::kQ6_K),
    k_row<Iq4Xs, 8, One, Two>(TensorType::kIQ4_XS), k_row<Iq4Xs, 1, One, Two>(TensorType::kIQ4_XS),
    k_row<Tq2, 8, One, Two>(TensorType::kTQ2_0),    k_row<Tq2, 1, One, Two>(TensorType::kTQ2_0),
    k_row<Q1_0, 1, One, Two>(TensorType::kQ1_0),    k_row<Q2_0, 1, One, Two>(TensorType::kQ2_0),
};

}  // namespace potluck::tiles
