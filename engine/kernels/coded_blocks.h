// The formats whose quants are indices into a large codebook (IQ1, IQ2, IQ3) or digits packed in
// bytes (TQ1_0). A panel has as many bits for them as the file, in an order that vectors can use;
// CodedPart is what the formats have in common: the codes of 32 columns as up to three words and
// three bytes per row. Internal to engine/kernels; pure functions, any thread.
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

#include <cstddef>
#include <cstdint>

#include "engine/kernels/block_fields.h"

namespace potluck {

struct CodedPart {
  uint16_t d = 0;
  uint32_t words[3] = {};
  uint8_t bytes[3] = {};
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
  static void expand(const CodedPart& in, BlockPart& out);
};

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
