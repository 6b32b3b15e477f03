// Where the numbers stand inside GGUF's blocks: one small reader per format, shared by the decoders
// and the panel packers so that a layout is written down once. Quants come out in column order,
// unsigned and without their offset. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck::block_fields {

inline constexpr uint32_t kBlock = 32;        // columns of the smallest block
inline constexpr uint32_t kSuperBlock = 256;  // columns of a K-format block

inline uint8_t byte_at(const std::byte* from, size_t index) {
  return std::to_integer<uint8_t>(from[index]);
}

// Q4_0: f16 d; 16 bytes, low nibbles columns 0-15, high nibbles columns 16-31. Value d * (q - 8).
inline constexpr uint32_t kQ4_0Bytes = 18;
inline void q4_0_quants(const std::byte* block, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock / 2; ++i) {
    uint8_t pair = byte_at(block, 2 + i);
    q[i] = pair & 15;
    q[i + 16] = pair >> 4;
  }
}

// Q8_0: f16 d; 32 int8. Value d * q.
inline constexpr uint32_t kQ8_0Bytes = 34;
inline constexpr uint32_t kQ8_0Quants = 2;

// Q4_K: f16 d, f16 dmin; 12 bytes with 6-bit scales and minimums of 8 blocks of 32; 128 bytes of
// nibbles: 64 columns in 32 bytes, low nibbles first. Value (d * scale) * q - (dmin * minimum).
inline constexpr uint32_t kQ4_KBytes = 144;
struct ScaleAndMinimum {
  uint8_t scale;
  uint8_t minimum;
};
inline ScaleAndMinimum q4_k_scale(const std::byte* block, uint32_t part) {
  const std::byte* packed = block + 4;
  if (part < 4) {
    return {static_cast<uint8_t>(byte_at(packed, part) & 63),
            static_cast<uint8_t>(byte_at(packed, part + 4) & 63)};
  }
  // The later four keep their low nibbles in bytes 8-11 and their high bits on top of the others.
  uint8_t low = byte_at(packed, part + 4);
  uint8_t scale_high = byte_at(packed, part - 4) >> 6;
  uint8_t minimum_high = byte_at(packed, part) >> 6;
  return {static_cast<uint8_t>((low & 15) | (scale_high << 4)),
          static_cast<uint8_t>((low >> 4) | (minimum_high << 4))};
}
inline void q4_k_quants(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  const std::byte* pairs = block + 16 + kBlock * (part / 2);
  uint32_t shift = 4 * (part % 2);
  for (uint32_t i = 0; i < kBlock; ++i) q[i] = (byte_at(pairs, i) >> shift) & 15;
}

// Q6_K: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales of 16 columns each,
// f16 d. Value (d * scale) * (q - 32). Each half of 128 columns has 64 bytes of nibbles (columns
// 0-63 low, 64-127 high) and 32 bytes of pairs (columns 32 k + i in bits 2k of byte i).
inline constexpr uint32_t kQ6_KBytes = 210;
inline constexpr uint32_t kQ6_KScales = 192;
inline constexpr uint32_t kQ6_KDelta = 208;
inline int8_t q6_k_scale(const std::byte* block, uint32_t sixteenth) {
  return static_cast<int8_t>(byte_at(block, kQ6_KScales + sixteenth));
}
inline void q6_k_quants(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  uint32_t half = part / 4;
  uint32_t quarter = part % 4;
  const std::byte* nibbles = block + 64 * half + kBlock * (quarter % 2);
  const std::byte* pairs = block + 128 + 32 * half;
  uint32_t nibble_shift = 4 * (quarter / 2);
  uint32_t pair_shift = 2 * quarter;
  for (uint32_t i = 0; i < kBlock; ++i) {
    uint32_t low = (byte_at(nibbles, i) >> nibble_shift) & 15u;
    uint32_t high = (byte_at(pairs, i) >> pair_shift) & 3u;
    q[i] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace potluck::block_fields
