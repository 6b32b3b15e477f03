// The formats whose quants are indices into a large codebook (IQ1, IQ2, IQ3) or digits packed in
// bytes (TQ1_0). A panel keeps their codes as they are; CodedPart is what the formats have in
// common: the codes of 32 columns as up to three words and three bytes per row. Internal to
// engine/kernels; pure functions, any thread.
//
// A format is a type with
//   kWords, kBytes   how many words and bytes its codes take
//   gather()         finds the codes of a part in a GGUF block
//   expand()         turns them into a BlockPart, whose q are int8 weights
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

// 4 indices | 4 times 7 signs, scale in the upper 4 bits.
struct Iq2Xxs {
  static constexpr uint32_t kWords = 2, kBytes = 0;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// 4 times 16 bits: an index of 9, 7 signs | 2 scales.
struct Iq2Xs {
  static constexpr uint32_t kWords = 2, kBytes = 1;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | 4 times 8 signs | 4 pairs of high bits | 2 scales.
struct Iq2S {
  static constexpr uint32_t kWords = 2, kBytes = 2;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// 8 indices | 4 times 7 signs, scale in the upper 4 bits.
struct Iq3Xxs {
  static constexpr uint32_t kWords = 3, kBytes = 0;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 8 indices | 4 times 8 signs | 8 high bits | scale.
struct Iq3S {
  static constexpr uint32_t kWords = 3, kBytes = 2;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// Low bytes of 4 indices | 16 bits: 4 times 3 high bits, scale of 3, sign of the shift.
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

// 7 bytes, each with 5 digits of a number to the base 3 (the last with 2), lowest first; a digit
// less 1 is a weight. In a GGUF block digits stand elsewhere: gather() packs them anew.
struct Tq1 {
  static constexpr uint32_t kWords = 1, kBytes = 3;
  static void gather(const std::byte* block, uint32_t part, CodedPart& out);
  static void expand(const CodedPart& in, BlockPart& out);
};

// In a panel, a block has its words (each of 8 rows) and then its bytes.
inline constexpr uint32_t kCodedRows = 8;
template <class Format>
inline constexpr uint32_t kCodedBytes = kCodedRows*(4 * Format::kWords + Format::kBytes);

// The reader of the format's GGUF blocks.
template <class Format>
void read_coded(const std::byte* block, uint32_t part, BlockPart& out) {
  CodedPart codes;
  Format::gather(block, part, codes);
  Format::expand(codes, out);
}

}  // namespace potluck
