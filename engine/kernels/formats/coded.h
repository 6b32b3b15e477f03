// The tiles of the formats of large codebooks (IQ1, IQ2, IQ3) and of TQ1_0: the codes of
// coded_blocks.h are expanded to signed quants, a block of 8 rows at once, one lane per row.
// Written once, for the vectors V of any instruction set. Internal to engine/kernels; pure
// functions, any thread.
#pragma once

#include "engine/kernels/codebooks.h"
#include "engine/kernels/coded_blocks.h"
#include "engine/kernels/formats/super_blocks.h"

namespace potluck::tiles {

// What a block of codes stands for: quants in column order, with the offset of their codebook, and
// the scales of columns 0-15 and 16-31.
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

static inline auto odd(auto code) {
  return code + code + 1;
}

// Entries are fetched one by one, by numbers in memory: that is what processors do fastest, faster
// than their instructions that gather. Numbers of a byte are taken from the panel, as they stand in
// a word of each row.
static inline Indices<uint8_t, 4> byte_indices(const std::byte* words, uint32_t entry) {
  return {reinterpret_cast<const uint8_t*>(words) + entry};
}

// Numbers of more than a byte of 8 rows with 4 entries each.
struct WideNumbers {
  uint16_t even[16];  // of entries 0 and 2, by row
  uint16_t odd[16];   // of entries 1 and 3

  // In `high` the further bits of entry 0 stand from bit 8 on, those of entry 2 from bit 24 on, and
  // those of entries 1 and 3 `shift` bits above these.
  template <class Int>
  void set(Int low, Int high, int shift, int bits) {
    const int32_t high_mask = ((1 << bits) - 1) * 0x01000100;
    Int even_lanes = (low & 0x00ff00ff) | (high & high_mask);
    Int odd_lanes = ((low >> 8) & 0x00ff00ff) | ((high >> shift) & high_mask);
    __builtin_memcpy(even, &even_lanes, sizeof even);
    __builtin_memcpy(odd, &odd_lanes, sizeof odd);
  }
  Indices<uint16_t, 2> operator[](uint32_t entry) const {
    return {(entry % 2 == 0 ? even : odd) + entry / 2};
  }
};

// The numbers of a block, for formats whose numbers have more than a byte: for each word of low
// bytes one.
template <class Format>
inline constexpr uint32_t kWideWords = 1;
template <>
inline constexpr uint32_t kWideWords<Iq2Xxs> = 0;
template <>
inline constexpr uint32_t kWideWords<Iq3Xxs> = 0;
template <>
inline constexpr uint32_t kWideWords<Iq3S> = 2;

template <OnePanelVectors V>
static inline void find_numbers(CodeReader<V, Iq2Xs> in, WideNumbers* out) {
  typename V::Int last = in.word(1);
  out->set(in.word(0), ((last >> 20) & 0x300) | ((last >> 6) & 0x3000000), 1, 1);
}
template <OnePanelVectors V>
static inline void find_numbers(CodeReader<V, Iq2S> in, WideNumbers* out) {
  typename V::Int high = in.byte(0);
  out->set(in.word(0), (high << 8) | (high << 20), 2, 2);
}
template <OnePanelVectors V>
static inline void find_numbers(CodeReader<V, Iq3S> in, WideNumbers* out) {
  typename V::Int high = in.byte(0);
  high = (high << 8) | (high << 22);
  out[0].set(in.word(0), high, 1, 1);
  out[1].set(in.word(1), high >> 4, 1, 1);
}
// The bits beside the low bytes of IQ1: those of entries 2 and 3 from bit 24 on.
template <OnePanelVectors V, class Format>
static inline typename V::Int high_bits(CodeReader<V, Format> in) {
  return (in.byte(0) << 8) | (in.byte(1) << 24);
}
template <OnePanelVectors V>
static inline void find_numbers(CodeReader<V, Iq1S> in, WideNumbers* out) {
  out->set(in.word(0), high_bits(in), 3, 3);
}
template <OnePanelVectors V>
static inline void find_numbers(CodeReader<V, Iq1M> in, WideNumbers* out) {
  out->set(in.word(0), high_bits(in), 4, 3);
}

// A word of seven signs of each 8 columns: the eighth makes their number even. What stands in the
// eighth's place does not matter.
template <class Int>
static inline Int eight_signs(Int word) {
  Int seven = word & 0x0fffffff;
  Int parity = seven ^ (seven >> 16);
  parity = parity ^ (parity >> 8);
  parity = parity ^ (parity << 4);
  return seven ^ ((parity & 0xf0) << 24);
}

// Vectors of columns 8 i and 8 i + 4 from their magnitudes and a word of signs; both have the
// grid's offset.
template <OnePanelVectors V, int kOffset, uint32_t kEight>
static inline void put_signs(typename V::Int signs, typename V::Int quants[2]) {
  quants[0] = V::template mirrored<kEight>(quants[0], signs, 2 * kOffset);
  quants[1] = V::template mirrored<kEight + 4>(quants[1], signs, 2 * kOffset);
}
template <OnePanelVectors V, int kOffset>
static inline void put_signs_everywhere(typename V::Int signs, ExpandedCodes<V>& out) {
  put_signs<V, kOffset, 0>(signs, out.quants);
  put_signs<V, kOffset, 1>(signs, out.quants + 2);
  put_signs<V, kOffset, 2>(signs, out.quants + 4);
  put_signs<V, kOffset, 3>(signs, out.quants + 6);
}

// How the quants of a format are multiplied: they are at most kMost and stand for themselves less
// kOffset; kScales scales.
template <int kLargest, int kAdded, int kCount>
struct CodedQuants {
  static constexpr int kMost = kLargest;
  static constexpr int kOffset = kAdded;
  static constexpr int kScales = kCount;
};
template <class Format>
struct QuantsOf;
template <>
struct QuantsOf<Iq2Xxs> : CodedQuants<86, 43, 1> {};
template <>
struct QuantsOf<Iq2Xs> : CodedQuants<86, 43, 2> {};
template <>
struct QuantsOf<Iq2S> : CodedQuants<86, 43, 2> {};
template <>
struct QuantsOf<Iq3Xxs> : CodedQuants<124, 62, 1> {};
template <>
struct QuantsOf<Iq3S> : CodedQuants<30, 15, 1> {};
template <>
struct QuantsOf<Iq1S> : CodedQuants<18, 9, 1> {};
template <>
struct QuantsOf<Iq1M> : CodedQuants<18, 9, 2> {};

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2Xxs> in, const WideNumbers*, ExpandedCodes<V>& out) {
  typename V::Int last = in.word(1);
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    V::entries_of_8(codebooks::kIq2Xxs.entry, byte_indices(in.block, i), out.quants + 2 * i);
  }
  put_signs_everywhere<V, codebooks::kIq2Xxs.kOffset>(eight_signs(last), out);
  out.scales[0] = out.scales[1] = odd(bits_of(last, 28, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2Xs> in, const WideNumbers* numbers,
                          ExpandedCodes<V>& out) {
  typename V::Int last = in.word(1);
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    V::entries_of_8(codebooks::kIq2Xs.entry, (*numbers)[i], out.quants + 2 * i);
  }
  put_signs_everywhere<V, codebooks::kIq2Xs.kOffset>(eight_signs(last), out);
  out.scales[0] = odd(bits_of(in.byte(0), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(0), 4, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq2S> in, const WideNumbers* numbers,
                          ExpandedCodes<V>& out) {
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    V::entries_of_8(codebooks::kIq2S.entry, (*numbers)[i], out.quants + 2 * i);
  }
  put_signs_everywhere<V, codebooks::kIq2S.kOffset>(in.word(1), out);
  out.scales[0] = odd(bits_of(in.byte(1), 0, 4));
  out.scales[1] = odd(bits_of(in.byte(1), 4, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq3Xxs> in, const WideNumbers*, ExpandedCodes<V>& out) {
  typename V::Int last = in.word(2);
#pragma GCC unroll 8
  for (uint32_t i = 0; i < 8; ++i) {
    out.quants[i] = V::entries_of_4(codebooks::kIq3Xxs.entry,
                                    byte_indices(in.block + kVectorBytes * (i / 4), i % 4));
  }
  put_signs_everywhere<V, codebooks::kIq3Xxs.kOffset>(eight_signs(last), out);
  out.scales[0] = out.scales[1] = odd(bits_of(last, 28, 4));
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq3S> in, const WideNumbers* numbers,
                          ExpandedCodes<V>& out) {
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    out.quants[i] = V::entries_of_4(codebooks::kIq3S.entry, numbers[0][i]);
    out.quants[i + 4] = V::entries_of_4(codebooks::kIq3S.entry, numbers[1][i]);
  }
  put_signs_everywhere<V, codebooks::kIq3S.kOffset>(in.word(2), out);
  out.scales[0] = out.scales[1] = odd(bits_of(in.byte(1), 0, 4));
}

// Quants of IQ1 are 8 times a grid's -1, 0 or 1 and 1 more or less. With an offset of 9 that is the
// grid's entry, which has one of 8, and 2 or 0: `minus` is 0 or -1.
template <class Int>
static inline Int shift_of(Int minus) {
  return (minus ^ -1) & 0x02020202;
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq1S> in, const WideNumbers* numbers,
                          ExpandedCodes<V>& out) {
  typename V::Int high = high_bits(in);
  typename V::Int shift = shift_of(high >> 31);
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    typename V::Int* quants = out.quants + 2 * i;
    V::entries_of_8(codebooks::kIq1.entry, (*numbers)[i], quants);
    quants[0] = V::add_bytes(quants[0], shift);
    quants[1] = V::add_bytes(quants[1], shift);
  }
  out.scales[0] = out.scales[1] = ((high >> 13) & 6) | ((high >> 27) & 8) | 1;
}

template <OnePanelVectors V>
static inline void expand(CodeReader<V, Iq1M> in, const WideNumbers* numbers,
                          ExpandedCodes<V>& out) {
  typename V::Int high = high_bits(in);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    int sign = 11 + 4 * (i % 2) + 16 * (i / 2);
    typename V::Int shift = shift_of((high << (31 - sign)) >> 31);
    typename V::Int* quants = out.quants + 2 * i;
    V::entries_of_8(codebooks::kIq1.entry, (*numbers)[i], quants);
    quants[0] = V::add_bytes(quants[0], shift);
    quants[1] = V::add_bytes(quants[1], shift);
  }
  out.scales[0] = odd(bits_of(in.byte(2), 0, 3));
  out.scales[1] = odd(bits_of(in.byte(2), 3, 5));
}

// The first digits of four fractions of 256, less 128, and the fractions of the next ones.
template <OnePanelVectors V>
static inline typename V::Int take_digits(typename V::Int& fractions) {
  typename V::Int zero{};
  typename V::Int above_one = V::greater_bytes(fractions, zero + 0x2a2a2a2a);  // 171 - 1 - 128
  typename V::Int above_zero =
      V::greater_bytes(fractions, zero + static_cast<int32_t>(0xd5d5d5d5));  // 86 - 1 - 128
  fractions = V::add_bytes(V::add_bytes(fractions, fractions), fractions);
  return V::subtract_bytes(V::subtract_bytes(zero, above_one), above_zero);
}

// Digits of TQ1_0: the quants of TQ2_0.
template <OnePanelVectors V>
static inline void expand_digits(const std::byte* block, typename V::Int quants[kBlockVectors]) {
  typename V::Int fractions = V::load_vector(block, 0);
  for (uint32_t i = 0; i < 4; ++i) quants[i] = take_digits<V>(fractions);
  // The fifth digits go below those that stand there already: four pairs of bits to a byte.
  typename V::Int last = take_digits<V>(fractions);
  last = last | (last >> 6);
  last = (last | (last >> 12)) & 0xff;
  typename V::Int pairs = V::load_triples(block + kVectorBytes) | last;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) quants[4 + i] = (pairs >> 2 * i) & 0x03030303;
}

// Codes are expanded one panel at a time.
template <class Coded, int kDivisor, PanelVectors V>
struct CodedFormat {
  using Sums = ScaledSums<V>;
  using Head = ScaleHead<V, kDivisor>;
  using Form = QuantsOf<Coded>;
  using Quants = typename V::template Quants<Form::kMost, Form::kOffset>;
  using One = typename V::OnePanel;
  static constexpr uint32_t kBlockBytes = kCodedBytes<Coded>;

  // Numbers of more than a byte are found for all blocks under a head before the first is expanded:
  // from finding to fetching the entry is a way through memory, for which a block would wait.
  struct Ahead {
    static constexpr uint32_t kEach = std::max(kWideWords<Coded>, 1u);
    WideNumbers numbers[kBlocksUnderHead<CodedFormat>][V::kPanels][kEach];

    Ahead(const std::byte* from, uint64_t stride, uint32_t blocks) {
      if constexpr (kWideWords<Coded> != 0) {
        for (uint32_t block = 0; block < blocks; ++block) {
          for (uint32_t panel = 0; panel < V::kPanels; ++panel) {
            const std::byte* at = from + block * kBlockBytes + panel * stride;
            find_numbers(CodeReader<One, Coded>{at}, numbers[block][panel]);
          }
        }
      }
    }
  };

  struct Block : OffsetBlock<V, Quants, Form::kOffset, Form::kScales> {
    static constexpr uint32_t kBytes = kBlockBytes;

    Block(const std::byte* from, [[maybe_unused]] uint64_t stride, const Ahead& ahead,
          uint32_t block) {
      ExpandedCodes<One> first = expanded(from, ahead.numbers[block][0]);
      if constexpr (V::kPanels == 1) {
        for (uint32_t v = 0; v < kBlockVectors; ++v) this->quants.vector[v] = first.quants[v];
        this->take_scales(first.scales[0], first.scales[1]);
      } else {
        ExpandedCodes<One> second = expanded(from + stride, ahead.numbers[block][1]);
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          this->quants.vector[v] = V::join(first.quants[v], second.quants[v]);
        }
        this->take_scales(V::join(first.scales[0], second.scales[0]),
                          V::join(first.scales[1], second.scales[1]));
      }
    }

   private:
    static ExpandedCodes<One> expanded(const std::byte* from, const WideNumbers* numbers) {
      ExpandedCodes<One> codes;
      expand(CodeReader<One, Coded>{from}, numbers, codes);
      return codes;
    }
  };
};

template <PanelVectors V>
struct Tq1Format {
  using Sums = OffsetSums<V>;
  using Head = OffsetHead<V, 1>;

  struct Block : PlainBlock<V, 3> {
    static constexpr uint32_t kBytes = kCodedBytes<Tq1>;

    Block(const std::byte* from, [[maybe_unused]] uint64_t stride) {
      if constexpr (V::kPanels == 1) {
        expand_digits<V>(from, this->quants.vector);
      } else {
        using One = typename V::OnePanel;
        typename One::Int first[kBlockVectors];
        typename One::Int second[kBlockVectors];
        expand_digits<One>(from, first);
        expand_digits<One>(from + stride, second);
        for (uint32_t v = 0; v < kBlockVectors; ++v) {
          this->quants.vector[v] = V::join(first[v], second[v]);
        }
      }
    }
  };
};

// Expanding takes far longer than a product: any number of tokens has the same tile.
template <template <class> class Tiles, uint32_t kBlocksPerScale, OnePanelVectors One,
          TwoPanelVectors Two>
constexpr FormatTiles coded_row(TensorType type) {
  FormatTiles row = one_panel_row<Tiles<One>, kBlocksPerScale>(type);
  if constexpr (!std::is_void_v<Two>) {
    row.two_panels = two_tiles(super_block_tile<Tiles<Two>, kBlocksPerScale, 1>,
                               super_block_tile<Tiles<Two>, kBlocksPerScale, 0>);
  }
  return row;
}

template <PanelVectors V>
using Iq1STiles = CodedFormat<Iq1S, 8, V>;
template <PanelVectors V>
using Iq1MTiles = CodedFormat<Iq1M, 8, V>;
template <PanelVectors V>
using Iq2XxsTiles = CodedFormat<Iq2Xxs, 8, V>;
template <PanelVectors V>
using Iq2XsTiles = CodedFormat<Iq2Xs, 8, V>;
template <PanelVectors V>
using Iq2STiles = CodedFormat<Iq2S, 8, V>;
template <PanelVectors V>
using Iq3XxsTiles = CodedFormat<Iq3Xxs, 4, V>;
template <PanelVectors V>
using Iq3STiles = CodedFormat<Iq3S, 1, V>;

// For an instruction set with vectors of one panel, and perhaps of two.
template <OnePanelVectors One, TwoPanelVectors Two = void>
constexpr std::array kCodedTiles = {
    coded_row<Iq1STiles, 8, One, Two>(TensorType::kIQ1_S),
    coded_row<Iq1STiles, 1, One, Two>(TensorType::kIQ1_S),
    coded_row<Iq1MTiles, 8, One, Two>(TensorType::kIQ1_M),
    coded_row<Iq1MTiles, 1, One, Two>(TensorType::kIQ1_M),
    coded_row<Iq2XxsTiles, 8, One, Two>(TensorType::kIQ2_XXS),
    coded_row<Iq2XxsTiles, 1, One, Two>(TensorType::kIQ2_XXS),
    coded_row<Iq2XsTiles, 8, One, Two>(TensorType::kIQ2_XS),
    coded_row<Iq2XsTiles, 1, One, Two>(TensorType::kIQ2_XS),
    coded_row<Iq2STiles, 8, One, Two>(TensorType::kIQ2_S),
    coded_row<Iq2STiles, 1, One, Two>(TensorType::kIQ2_S),
    coded_row<Iq3XxsTiles, 8, One, Two>(TensorType::kIQ3_XXS),
    coded_row<Iq3XxsTiles, 1, One, Two>(TensorType::kIQ3_XXS),
    coded_row<Iq3STiles, 8, One, Two>(TensorType::kIQ3_S),
    coded_row<Iq3STiles, 1, One, Two>(TensorType::kIQ3_S),
    coded_row<Tq1Format, 8, One, Two>(TensorType::kTQ1_0),
    coded_row<Tq1Format, 1, One, Two>(TensorType::kTQ1_0),
};

}  // namespace potluck::tiles
