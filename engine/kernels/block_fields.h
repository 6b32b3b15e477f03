// Where the numbers stand inside GGUF's blocks: one reader per format, shared by the decoders and
// the panel packers so that a layout is written down once. The formats whose quants are entries of
// a large codebook stand in coded_blocks.h. Internal to engine/kernels; pure functions, any thread.
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

// Reads the part `part` (32 columns; always 0 for blocks of 32) of one GGUF block.
using ReadPart = void (*)(const std::byte* block, uint32_t part, BlockPart& out);

// Blocks of 32: the scale in front, then quants. Bytes per block behind the names.
void read_q4_0(const std::byte* block, uint32_t part, BlockPart& out);   // 18
void read_q4_1(const std::byte* block, uint32_t part, BlockPart& out);   // 20
void read_q5_0(const std::byte* block, uint32_t part, BlockPart& out);   // 22
void read_q5_1(const std::byte* block, uint32_t part, BlockPart& out);   // 24
void read_q8_0(const std::byte* block, uint32_t part, BlockPart& out);   // 34
void read_mxfp4(const std::byte* block, uint32_t part, BlockPart& out);  // 17

// Blocks of 64 and of 128.
void read_nvfp4(const std::byte* block, uint32_t part, BlockPart& out);  // 36
void read_q1_0(const std::byte* block, uint32_t part, BlockPart& out);   // 18
void read_q2_0(const std::byte* block, uint32_t part, BlockPart& out);   // 18

// Super-blocks of 256.
void read_q2_k(const std::byte* block, uint32_t part, BlockPart& out);    // 84
void read_q3_k(const std::byte* block, uint32_t part, BlockPart& out);    // 110
void read_q4_k(const std::byte* block, uint32_t part, BlockPart& out);    // 144
void read_q5_k(const std::byte* block, uint32_t part, BlockPart& out);    // 176
void read_q6_k(const std::byte* block, uint32_t part, BlockPart& out);    // 210
void read_iq4_xs(const std::byte* block, uint32_t part, BlockPart& out);  // 136
void read_tq2_0(const std::byte* block, uint32_t part, BlockPart& out);   // 66

}  // namespace block_fields
}  // namespace potluck
