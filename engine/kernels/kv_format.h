// How the keys and values of one KV head are stored, by type: where they lie and how they are
// rounded. The layouts are those the attention kernels read. Pure functions, any thread; different
// positions may be stored by different threads.
//
// Keys stand in groups of 8 positions, so that a SIMD lane is a position; values position by
// position, so that a lane is a dimension. With dimensions D and blocks of at most 32 of them (the
// last block is shorter if D is not a multiple of 32):
//
//   kF32, kF16   keys    [position / 8][D][8]            values  [position][D]
//   kQ8_0        keys    [position / 8][block] of        values  [position][block] of
//                          scales [8], f16                 scale, f16
//                          quants [dimension][8], int8     quants [dimension], int8
//
// kF16 rounds to nearest even. kQ8_0 takes the 32 (or fewer) dimensions of a block of one position:
//   amax = max |x|; scale = f16(amax / 127), nearest even
//   anything not finite, or a scale that overflows: scale = NaN (0x7e00), quants 0
//   scale 0: quants 0; else q = x * (1 / f32(scale)), rounded to nearest even, clamped to +-127
// and what is read back is f32(scale) * q, which float32 holds exactly.
#pragma once

#include <cstddef>
#include <cstdint>

namespace potluck {

enum class KvType : uint8_t { kF32 = 0, kF16 = 1, kQ8_0 = 2 };

inline constexpr uint32_t kKeyGroup = 8;  // positions whose keys stand side by side
inline constexpr uint32_t kKvBlock = 32;  // dimensions that share a scale, in kQ8_0

// Bytes of one position's key or value; a group of keys takes kKeyGroup times as many. `dimensions`
// is a multiple of 8 here and below.
constexpr uint64_t kv_bytes(KvType type, uint32_t dimensions) {
  switch (type) {
    case KvType::kF32:
      return uint64_t{dimensions} * 4;
    case KvType::kF16:
      return uint64_t{dimensions} * 2;
    case KvType::kQ8_0:
      break;
  }
  return dimensions + 2 * ((uint64_t{dimensions} + kKvBlock - 1) / kKvBlock);
}

// Stores one position; `keys` and `values` begin at position 0, at the start of a group.
void store_key(KvType type, uint32_t dimensions, const float* key, uint32_t position,
               std::byte* keys);
void store_value(KvType type, uint32_t dimensions, const float* value, uint32_t position,
                 std::byte* values);

// Where a position's value is the first numbers of its key (latent attention) it is stored once,
// in the key: brings the values of positions [begin, end) to where values stand, as they are.
// Positions are moved by whole groups, and `values` holds whole groups; kQ8_0: with the scales of
// the key's blocks.
void copy_values(KvType type, uint32_t key_dimensions, uint32_t value_dimensions,
                 const std::byte* keys, uint32_t begin, uint32_t end, std::byte* values);

// A whole key, its numbers to be `stride` apart; a whole value; or one number: as the kernels read
// it.
void load_key(KvType type, uint32_t dimensions, const std::byte* keys, uint32_t position,
              float* key, uint32_t stride);
void load_value(KvType type, uint32_t dimensions, const std::byte* values, uint32_t position,
                float* value);
float key_at(KvType type, uint32_t dimensions, const std::byte* keys, uint32_t position,
             uint32_t dimension);
float value_at(KvType type, uint32_t dimensions, const std::byte* values, uint32_t position,
               uint32_t dimension);

}  // namespace potluck
