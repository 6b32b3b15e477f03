// What is found inside GGUF's blocks: one reader per format (block_readers.h), shared by the
// decoders and the panel packers so that a layout is written down once. Internal to engine/kernels;
// plain values, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck {

// 32 columns of one row of a quantized format, as stored. Column c has the value
//   (d * scale[c / 16]) * weight(q[c])                                or, where there are minimums,
//   (d * scale[c / 16]) * weight(q[c]) - dmin * minimum[c / 16]
// How d, dmin, scale and weight(q) are to be read is a matter of the format: see NumberForm.
struct BlockPart {
  uint16_t d;
  uint16_t dmin;
  int16_t scale[2];
  uint8_t minimum[2];
  uint8_t q[32];
};

namespace block_fields {

inline constexpr uint32_t kBlock = 32;        // columns of the smallest block, and of a BlockPart
inline constexpr uint32_t kSuperBlock = 256;  // columns of a block of K-, IQ- and TQ-formats

inline uint8_t byte_at(const std::byte* from, size_t index) {
  return std::to_integer<uint8_t>(from[index]);
}

// The lowest `bits` bits of each of eight quants. Quants are moved eight at a time: no field
// crosses a byte, so a shift of the word and a mask do.
constexpr uint64_t mask_of_eight(uint32_t bits) {
  return ((uint64_t{1} << bits) - 1) * 0x0101010101010101u;
}

// Reads the part `part` (32 columns; always 0 for blocks of 32) of one GGUF block: block_readers.h.
using ReadPart = void (*)(const std::byte* block, uint32_t part, BlockPart& out);

}  // namespace block_fields
}  // namespace potluck
