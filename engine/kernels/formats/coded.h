// The tiles of the formats of large codebooks (IQ1, IQ2, IQ3) and of TQ1_0: the codes of
// coded_blocks.h are expanded to signed quants, a block of 8 rows at once, one lane per row.
// Written once, for the vectors V of any instruction set. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include "engine/kernels/codebooks.h"
#include "engine/kernels/coded_blocks.h"
#include "engine/kernels/formats/super_blocks.h"

namespace potluck::tiles {

// What a block of codes stands for: signed quants in column order, and the scales of columns 0-15
// and 16-31.
template <OnePanelVectors V>
struct ExpandedCodes {
  typename V::Int quants[kBlockVectors];
  typename V::Int scales[2];
};

// The words and bytes of a block, a lane per row.
template <OnePanelVectors V, class Format>
struct CodeReader {
  const std::byte* block;

  typename V::Int word(uint32_t index) const {
    return V::load_vector(block + kVectorBytes * index, 0);
  }
  typename V::Int byte(uint32_t index) const {
    return V::load_unsigned(block + kVectorBytes * Format::kWords + kCodedRows * index, 0);
  }
};

// `count` bits of every lane from bit `shift` on.
template <class Int>
static inline Int bits_of(Int lanes, int shift, int count) {
  return (lanes >> shift) & ((1 << count) - 1);
}

static inline auto above(auto low, auto high, int shift) {
  return low | (high << shift);
}

static inline auto odd(auto code) {
  return code + code + 1;
}

// Entries of 4 columns, or the columns from `column` on of entries of 8.
template <OnePanelVectors V, uint32_t kCount, uint32_t kLength>
static inline typename V::Int gather(const codebooks::Grid<kCount, kLength>& grid,
                                     typename V::Int index, uint32_t column = 0) {
  return V::template gather<kLength>(grid.entry[0] + column, index);
}

// Eight sign bits of seven: their number is even.
template <class Int>
static inline Int eight_signs(Int seven) {
  Int parity = seven ^ (seven >> 4);
  parity = parity ^ (parity >> 2);
  parity = parity ^ (parity >> 1);
  return above(seven, parity & 1, 7);
}

// Four columns negated where the lane's bits from `shift` on say so: x ^ -1 - (-1) is -x. There is
// no instruction that negates bytes by a bit mask in AVX2.
template <OnePanelVectors V>
static inline typename V::Int negate(typename V::Int magnitudes, typename V::Int signs, int shift) {
  typename V::Int column = typename V::Int{} + 0x08040201;
  typename V::Int four = bits_of(signs, shift, 4) * 0x01010101;
  typename V::Int mask = V::equal_bytes(four & column, column);
  return V::subtract_bytes(magnitudes ^ mask, mask);
}

// The two vectors of an entry of 8 columns, with their signs.
template <OnePanelVectors V, uint32_t kCount>
static inline void put_signed(const codebooks::Grid<kCount, 8>& grid, typename V::Int index,
                              typename V::Int signs, typename V::Int* quants) {
  quants[0] = negate<V>(gather<V>(grid, index, 0), signs, 0);
  quants[1] = negate<V>(gather<V>(grid, index, 4), signs, 4);
}

// Eight times the entry of IQ1, plus 1 or, where `minus` is 1, minus 1.
template <OnePanelVectors V>
static inline void put_shifted(typename V::Int index, typename V::Int minus,
                               typename V::Int* quants) {
  typename V::Int shift = (typename V::Int{} - minus) | 0x01010101;
  quants[0] = V::add_bytes(gather<V>(codebooks::kIq1, index, 0), shift);
  quants[1] = V::add_bytes(gather<V>(codebooks::kIq1, index, 4), shift);
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2Xxs> in, ExpandedCodes<V>& out) {
  typename V::Int indices = in.word(0);
  typename V::Int signs = in.word(1);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    put_signed<V>(codebooks::kIq2Xxs, bits_of(indices, 8 * i, 8),
                  eight_signs(bits_of(signs, 7 * i, 7)), out.quants + 2 * i);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(signs, 28, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2Xs> in, ExpandedCodes<V>& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Int code = bits_of(in.word(i / 2), 16 * (i % 2), 16);
    put_signed<V>(codebooks::kIq2Xs, bits_of(code, 0, 9), eight_signs(bits_of(code, 9, 7)),
                  out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(0), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(0), 4, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2S> in, ExpandedCodes<V>& out) {
  typename V::Int high = in.byte(0);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Int index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 2 * i, 2), 8);
    put_signed<V>(codebooks::kIq2S, index, bits_of(in.word(1), 8 * i, 8), out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(1), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(1), 4, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq3Xxs> in, ExpandedCodes<V>& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Int signs = eight_signs(bits_of(in.word(2), 7 * i, 7));
    typename V::Int indices = bits_of(in.word(i / 2), 16 * (i % 2), 16);
    typename V::Int* quants = out.quants + 2 * i;
    quants[0] = negate<V>(gather<V>(codebooks::kIq3Xxs, bits_of(indices, 0, 8)), signs, 0);
    quants[1] = negate<V>(gather<V>(codebooks::kIq3Xxs, bits_of(indices, 8, 8)), signs, 4);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(in.word(2), 28, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq3S> in, ExpandedCodes<V>& out) {
  typename V::Int high = in.byte(0);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    typename V::Int low = bits_of(in.word(i / 4), 8 * (i % 4), 8);
    typename V::Int index = above(low, bits_of(high, i, 1), 8);
    out.quants[i] = negate<V>(gather<V>(codebooks::kIq3S, index), in.word(2), 4 * i);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(in.byte(1), 0, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq1S> in, ExpandedCodes<V>& out) {
  typename V::Int high = above(in.byte(0), in.byte(1), 8);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Int index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 3 * i, 3), 8);
    put_shifted<V>(index, bits_of(high, 15, 1), out.quants + 2 * i);
  }
  out.scales[0] = out.scales[1] = odd(bits_of(high, 12, 3));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq1M> in, ExpandedCodes<V>& out) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Int high = bits_of(in.byte(i / 2), 4 * (i % 2), 4);
    typename V::Int index = above(bits_of(in.word(0), 8 * i, 8), bits_of(high, 0, 3), 8);
    put_shifted<V>(index, bits_of(high, 3, 1), out.quants + 2 * i);
  }
  out.scales[0] = odd(bits_of(in.byte(2), 0, 3));
  out.scales[1] = odd(bits_of(in.byte(2), 3, 5));
}

// A byte divided by 3^kPower, rounded down: factor and shift are exact for all 256 values, and the
// product fits the low 16 bits of its lane. Each power has its own factor: one digit after the
// other, the divisions of seven bytes do not fit the registers (0.75 of the speed with AVX2).
template <int kPower, OnePanelVectors V>
static inline typename V::Int divided(typename V::Int byte) {
  if constexpr (kPower == 1) return V::multiply_words(byte, 171) >> 9;
  if constexpr (kPower == 2) return V::multiply_words(byte, 57) >> 9;
  if constexpr (kPower == 3) return V::multiply_words(byte, 19) >> 9;
  if constexpr (kPower == 4) return V::multiply_words(byte, 203) >> 14;
  if constexpr (kPower == 5) return V::multiply_words(byte, 135) >> 15;
  return byte;
}

// Digits to the base 3, five to a byte.
template <int kDigit, OnePanelVectors V>
static inline void put_digit(typename V::Int byte, int column, typename V::Int* quants) {
  if (column >= 32) return;
  typename V::Int tripled = V::multiply_words(divided<kDigit + 1, V>(byte), 3);
  typename V::Int digit = divided<kDigit, V>(byte) - tripled;
  quants[column / 4] = above(quants[column / 4], digit, 8 * (column % 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Tq1> in, ExpandedCodes<V>& out) {
  using Int = typename V::Int;
  for (Int& four : out.quants) four = Int{};
#pragma GCC unroll 7
  for (int i = 0; i < 7; ++i) {
    Int byte = i < 4 ? bits_of(in.word(0), 8 * i, 8) : in.byte(i - 4);
    put_digit<0, V>(byte, 5 * i, out.quants);
    put_digit<1, V>(byte, 5 * i + 1, out.quants);
    put_digit<2, V>(byte, 5 * i + 2, out.quants);
    put_digit<3, V>(byte, 5 * i + 3, out.quants);
    put_digit<4, V>(byte, 5 * i + 4, out.quants);
  }
  for (Int& four : out.quants) four = V::subtract_bytes(four, Int{} + 0x01010101);
  out.scales[0] = out.scales[1] = Int{} + 1;
}

template <class Coded, OnePanelVectors V>
static inline ExpandedCodes<V> expand_codes(const std::byte* block) {
  ExpandedCodes<V> codes;
  expand<V>(CodeReader<V, Coded>{block}, codes);
  return codes;
}

// Codes are expanded one panel at a time.
template <class Coded, int kDivisor, PanelVectors V>
struct CodedFormat {
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, kDivisor>;

  struct Block : OffsetBlock<V, typename V::SignedQuants, V::kSignedBias, 2> {
    static constexpr uint32_t kBytes = kCodedBytes<Coded>;

    Block(const std::byte* from, [[maybe_unused]] uint64_t stride) {
      if constexpr (V::kPanels == 1) {
        ExpandedCodes<V> codes = expand_codes<Coded, V>(from);
        for (uint32_t v = 0; v < kBlockVectors; ++v) this->quants.vector[v] = codes.quants[v];
        this->take_scales(codes.scales[0], codes.scales[1]);
      } else {
        using One = typename V::OnePanel;
        ExpandedCodes<One> first = expand_codes<Coded, One>(from);
        ExpandedCodes<One> second = expand_codes<Coded, One>(from + stride);
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          this->quants.vector[v] = V::join(first.quants[v], second.quants[v]);
        }
        this->take_scales(V::join(first.scales[0], second.scales[0]),
                          V::join(first.scales[1], second.scales[1]));
      }
      this->quants.finish_signed();
    }
  };
};

// Expanding takes far longer than a product: any number of tokens has the same tile.
template <class Coded, int kDivisor, uint32_t kBlocksPerScale, OnePanelVectors One,
          TwoPanelVectors Two>
constexpr FormatTiles coded_row(TensorType type) {
  FormatTiles row = one_panel_row<CodedFormat<Coded, kDivisor, One>, kBlocksPerScale>(type);
  if constexpr (!std::is_void_v<Two>) {
    using Format = CodedFormat<Coded, kDivisor, Two>;
    row.two_panels = two_tiles(super_block_tile<Format, kBlocksPerScale, 1>,
                               super_block_tile<Format, kBlocksPerScale, 0>);
  }
  return row;
}

// For an instruction set with vectors of one panel, and perhaps of two.
template <OnePanelVectors One, TwoPanelVectors Two = void>
constexpr std::array kCodedTiles = {
    coded_row<Iq1S, 8, 8, One, Two>(TensorType::kIQ1_S),
    coded_row<Iq1S, 8, 1, One, Two>(TensorType::kIQ1_S),
    coded_row<Iq1M, 8, 8, One, Two>(TensorType::kIQ1_M),
    coded_row<Iq1M, 8, 1, One, Two>(TensorType::kIQ1_M),
    coded_row<Iq2Xxs, 8, 8, One, Two>(TensorType::kIQ2_XXS),
    coded_row<Iq2Xxs, 8, 1, One, Two>(TensorType::kIQ2_XXS),
    coded_row<Iq2Xs, 8, 8, One, Two>(TensorType::kIQ2_XS),
    coded_row<Iq2Xs, 8, 1, One, Two>(TensorType::kIQ2_XS),
    coded_row<Iq2S, 8, 8, One, Two>(TensorType::kIQ2_S),
    coded_row<Iq2S, 8, 1, One, Two>(TensorType::kIQ2_S),
    coded_row<Iq3Xxs, 4, 8, One, Two>(TensorType::kIQ3_XXS),
    coded_row<Iq3Xxs, 4, 1, One, Two>(TensorType::kIQ3_XXS),
    coded_row<Iq3S, 1, 8, One, Two>(TensorType::kIQ3_S),
    coded_row<Iq3S, 1, 1, One, Two>(TensorType::kIQ3_S),
    coded_row<Tq1, 1, 8, One, Two>(TensorType::kTQ1_0),
    coded_row<Tq1, 1, 1, One, Two>(TensorType::kTQ1_0),
};

}  // namespace potluck::tiles
