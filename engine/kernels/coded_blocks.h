// The formats whose quants are indices into a large codebook (IQ1, IQ2, IQ3) or digits packed in
// bytes (TQ1_0). A panel has about as many bits for them as the file, in an order that vectors can
// use; CodedPart is what the formats have in common: the codes of 32 columns as up to three words
// and three bytes per row. Internal to engine/kernels; pure functions, any thread.
//
// A format is a type with
//   kWords, kBytes   how many words and bytes its codes take
//   gather()         finds the codes of a part in a GGUF block and puts them in order
//   expand()         turns them into a BlockPart, whose q are int8 weights
//
// A word of signs has those of 4 columns at a time in its four bytes: bit h * 4 + i of byte c is 1
// where column 8 i + 4 h + c is negative. So a shift brings the signs of a vector of 4 columns to
// the top of its bytes. Where only 7 signs of 8 are stored (their number is even), bits 28-31 are
// free for something else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/block_fields.h"
#include "engine/kernels/panel.h"

namespace potluck {

struct CodedPart {
  uint16_t d = 0;
  uint32_t words[3] = {};
  uint8_t bytes[3] = {};
};

// The same of eight rows, of a format with one word and three bytes. Not zeroed first, which took
// as long as filling it.
struct CodedRows {
  uint32_t words[kPanelRows];
  uint8_t bytes[kPanelRows][4];  // three, and one that is not used

  CodedPart part(uint32_t row) const {
    CodedPart part;
    part.words[0] = words[row];
    std::copy_n(bytes[row], 3, part.bytes);
    return part;
  }
};

// 4 indices | signs, scale in bits 28-31.
struct Iq2Xxs {
  static constexpr uint32_t kWords = 2, kBytes = 0;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | signs, high bits of the indices in bits 28-31 | 2 scales.
struct Iq2Xs {
  static constexpr uint32_t kWords = 2, kBytes = 1;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | signs | 4 pairs of high bits | 2 scales.
struct Iq2S {
  static constexpr uint32_t kWords = 2, kBytes = 2;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// 8 indices | signs, scale in bits 28-31.
struct Iq3Xxs {
  static constexpr uint32_t kWords = 3, kBytes = 0;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 8 indices | signs | 8 high bits | scale.
struct Iq3S {
  static constexpr uint32_t kWords = 3, kBytes = 2;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | 3 high bits of indices 0 and 1, 2 low bits of the scale | 3 high bits of
// indices 2 and 3, the high bit of the scale, the sign of the shift.
struct Iq1S {
  static constexpr uint32_t kWords = 1, kBytes = 2;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | 4 times 4 bits: 3 high bits, sign of the shift | 2 scales of 3 bits.
struct Iq1M {
  static constexpr uint32_t kWords = 1, kBytes = 3;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// 4 bytes of 5 digits, of which byte b has columns 4 n + b (n = 0..3) and column 16 + 4 b: a number
// below 243 as a fraction of 256, the digit of column b in front, less 128. Of 3 bytes, byte b has
// columns 16 + 4 n + b + 1 in bits 2n and 2n + 1. A digit less 1 is a weight. In a GGUF block
// digits stand elsewhere.
struct Tq1 {
  static constexpr uint32_t kWords = 1, kBytes = 3;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static uint16_t scale(const std::byte* block) { return load<uint16_t>(block + 52); }
  // Of up to eight rows whose blocks are `stride` bytes apart, at once.
  static void gather_rows(const std::byte* blocks, uint64_t stride, uint32_t rows, uint32_t part,
                          CodedRows& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Four times 8 signs, column 8 i + 4 h + c in bit 8 i + 4 h + c, to the word described above: c and
// i change places, their higher bits first.
inline uint32_t signs_from(uint32_t eights) {
  uint32_t other = (eights ^ eights >> 14) & 0x0000cccc;
  eights ^= other ^ other << 14;
  other = (eights ^ eights >> 7) & 0x00aa00aa;
  return eights ^ other ^ other << 7;
}

// Four times 7 signs; the eighth ones are 0.
inline uint32_t signs_from_sevens(uint32_t sevens) {
  return signs_from((sevens & 0x7f) | (sevens << 1 & 0x7f00) | (sevens << 2 & 0x7f0000) |
                    (sevens << 3 & 0x7f000000));
}

// Inline, as are the readers of other formats (block_readers.h).

inline void Iq2Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  const std::byte* codes = block + 2 + 8 * part;
  auto signs = load<uint32_t>(codes + 4);
  out.words[0] = load<uint32_t>(codes);
  out.words[1] = signs_from_sevens(signs) | signs >> 28 << 28;
}

// In GGUF 9 bits of an index and 7 signs are 16 bits.
inline void Iq2Xs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  uint32_t seven = 0;
  uint32_t high = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t code = load<uint16_t>(block + 2 + 8 * part + 2 * i);
    out.words[0] |= (code & 255) << 8 * i;
    high |= (code >> 8 & 1) << i;
    seven |= code >> 9 << 7 * i;
  }
  out.words[1] = signs_from_sevens(seven) | high << 28;
  out.bytes[0] = block_fields::byte_at(block, 66 + part);
}

inline void Iq2S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  out.words[1] = signs_from(load<uint32_t>(block + 34 + 4 * part));
  out.bytes[0] = block_fields::byte_at(block, 66 + part);
  out.bytes[1] = block_fields::byte_at(block, 74 + part);
}

inline void Iq3Xxs::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  auto signs = load<uint32_t>(block + 66 + 4 * part);
  out.words[2] = signs_from_sevens(signs) | signs >> 28 << 28;
}

inline void Iq3S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  std::memcpy(out.words, block + 2 + 8 * part, 8);
  out.words[2] = signs_from(load<uint32_t>(block + 74 + 4 * part));
  out.bytes[0] = block_fields::byte_at(block, 66 + part);
  out.bytes[1] = block_fields::byte_at(block, 106 + part / 2) >> 4 * (part % 2) & 15;
}

// In GGUF 16 bits are 4 times 3 high bits, a scale of 3 and the sign of the shift.
inline void Iq1S::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  out.d = load<uint16_t>(block);
  out.words[0] = load<uint32_t>(block + 2 + 4 * part);
  uint32_t high = load<uint16_t>(block + 34 + 2 * part);
  uint32_t scale = high >> 12 & 7;
  out.bytes[0] = static_cast<uint8_t>((high & 63) | (scale & 3) << 6);
  out.bytes[1] = static_cast<uint8_t>((high >> 6 & 63) | (scale >> 2) << 6 | high >> 15 << 7);
}

// The 16 scales of 3 bits take 12 bits of each of 4 words; d stands in the upper 4 bits of them.
inline void Iq1M::gather(const std::byte* block, uint32_t part, CodedPart& out) {
  uint32_t d = 0;
  for (uint32_t i = 0; i < 4; ++i) d |= load<uint16_t>(block + 48 + 2 * i) >> 12 << 4 * i;
  out.d = static_cast<uint16_t>(d);
  out.words[0] = load<uint32_t>(block + 4 * part);
  std::memcpy(out.bytes, block + 32 + 2 * part, 2);
  out.bytes[2] = load<uint16_t>(block + 48 + 2 * (part / 2)) >> 6 * (part % 2) & 63;
}

// In a panel, a block has its words (each of 8 rows) and then its bytes, likewise, but for TQ1_0,
// whose bytes stand row by row.
inline constexpr uint32_t kCodedRows = 8;
template <class Format>
inline constexpr uint32_t kCodedBytes = kCodedRows*(4 * Format::kWords + Format::kBytes);

template <class Format>
inline constexpr bool kBytesByRow = false;
template <>
inline constexpr bool kBytesByRow<Tq1> = true;

// The reader of the format's GGUF blocks.
template <class Format>
void read_coded(const std::byte* block, uint32_t part, BlockPart& out) {
  CodedPart codes;
  Format::gather(block, part, codes);
  Format::expand(codes, out);
}

}  // namespace potluck
