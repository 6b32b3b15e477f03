// The readers of GGUF's blocks, one per format: 32 columns of a row as a BlockPart. Inline, since
// panels are packed from them while a disk is read (engine/experts/laid_out_file.h): what a reader
// finds and a layout does not keep costs nothing then. The layouts are those of ggml's block
// structs, which published files are written in. The fixture of block formats holds the values that
// every block has to decode to. The formats whose quants are entries of a large codebook stand in
// coded_blocks.h. Internal to engine/kernels; pure functions, any thread.
//
// All read the part `part` (32 columns; always 0 for blocks of 32) of one GGUF block.
#pragma once

#include "engine/kernels/block_fields.h"

namespace potluck::block_fields {

// Fills in what most formats lack: sub-scales and minimums of 1.
inline void start(uint16_t d, uint16_t dmin, BlockPart& out) {
  out.d = d;
  out.dmin = dmin;
  out.scale[0] = out.scale[1] = 1;
  out.minimum[0] = out.minimum[1] = 1;
}

// 16 bytes: low nibbles columns 0-15, high nibbles columns 16-31.
inline void read_nibbles(const std::byte* pairs, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock / 2; i += 8) {
    auto eight = load<uint64_t>(pairs + i);
    store(q + i, eight & mask_of_eight(4));
    store(q + i + 16, eight >> 4 & mask_of_eight(4));
  }
}

// The lowest 8 bits, spread over 8 bytes: bit i becomes bit 0 of byte i.
inline uint64_t spread_bits(uint32_t bits) {
  // Byte i keeps bit i alone, and carries into its top bit if that is set.
  uint64_t kept = (bits & 255) * 0x0101010101010101u & 0x8040201008040201u;
  return (kept + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

// 32 bits, one per column: they stand at `to` in each quant.
inline void add_single_bits(uint32_t bits, uint32_t to, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 8) {
    store(q + i, load<uint64_t>(q + i) | spread_bits(bits >> i) << to);
  }
}

// 32 bytes, of which the part's columns have `bits` bits from `shift` on.
inline void read_bits(const std::byte* bytes, uint32_t shift, uint32_t bits, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 8) {
    store(q + i, load<uint64_t>(bytes + i) >> shift & mask_of_eight(bits));
  }
}

// Likewise; the bits stand above those that are there.
inline void add_bits(const std::byte* bytes, uint32_t shift, uint32_t bits, uint32_t to,
                     uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 8) {
    uint64_t eight = load<uint64_t>(bytes + i) >> shift & mask_of_eight(bits);
    store(q + i, load<uint64_t>(q + i) | eight << to);
  }
}

// 12 bytes with 6-bit scales and minimums of 8 blocks of 32 columns (Q4_K, Q5_K; ggml's
// get_scale_min_k4).
inline void read_scale_and_minimum(const std::byte* packed, uint32_t part, BlockPart& out) {
  uint32_t scale = byte_at(packed, part) & 63;
  uint32_t minimum = byte_at(packed, part + 4) & 63;
  if (part >= 4) {
    // The later four keep their low nibbles in bytes 8-11 and their high bits on top of the others.
    uint32_t low = byte_at(packed, part + 4);
    scale = (low & 15) | byte_at(packed, part - 4) >> 6 << 4;
    minimum = low >> 4 | byte_at(packed, part) >> 6 << 4;
  }
  out.scale[0] = out.scale[1] = static_cast<int16_t>(scale);
  out.minimum[0] = out.minimum[1] = static_cast<uint8_t>(minimum);
}

// 12 bytes with 16 scales of 6 bits: low nibbles in bytes 0-7 (the later eight in the high halves),
// high pairs in bytes 8-11.
inline int16_t q3_k_scale(const std::byte* packed, uint32_t index) {
  uint32_t low = byte_at(packed, index % 8) >> 4 * (index / 8) & 15;
  uint32_t high = byte_at(packed, 8 + index % 4) >> 2 * (index / 4) & 3;
  return static_cast<int16_t>(static_cast<int>(low | high << 4) - 32);
}

// Blocks of 32: the scale in front, then quants.

// f16 d; nibbles. Value d * (q - 8). 18 bytes.
inline void read_q4_0(const std::byte* block, uint32_t, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  read_nibbles(block + 2, out.q);
}

// The formats with an addend m: value d * q + m, which is d * q - (-m) to the bit.
constexpr uint16_t kSign = 0x8000;

// f16 d, f16 m; nibbles.
inline void read_q4_1(const std::byte* block, uint32_t, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2) ^ kSign, out);
  read_nibbles(block + 4, out.q);
}

// f16 d; 32 fifth bits; nibbles. Value d * (q - 16).
inline void read_q5_0(const std::byte* block, uint32_t, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  read_nibbles(block + 6, out.q);
  add_single_bits(load<uint32_t>(block + 2), 4, out.q);
}

// f16 d, f16 m; 32 fifth bits; nibbles.
inline void read_q5_1(const std::byte* block, uint32_t, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2) ^ kSign, out);
  read_nibbles(block + 8, out.q);
  add_single_bits(load<uint32_t>(block + 4), 4, out.q);
}

// f16 d; 32 int8. Value d * q.
inline void read_q8_0(const std::byte* block, uint32_t, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  std::memcpy(out.q, block + 2, kBlock);
}

// One byte of exponent; nibbles. Value 2^(e - 128) * codebook[q]: the elements of the OCP
// Microscaling specification (E2M1, with an E8M0 scale) are multiples of a half, so the codebook
// holds them doubled, as integers.
inline void read_mxfp4(const std::byte* block, uint32_t, BlockPart& out) {
  start(byte_at(block, 0), 0, out);
  read_nibbles(block + 1, out.q);
}

// Four scales of 16 columns, E4M3 without a sign: ggml ignores the sign bit, and takes 0x7f (which
// is no number) as 0 but 0xff as 480. So 0x7f in `scale` means 480. Then nibbles: of each 16
// columns 8 bytes, low nibbles first.
inline void read_nvfp4(const std::byte* block, uint32_t part, BlockPart& out) {
  start(0, 0, out);
  for (uint32_t i = 0; i < 2; ++i) {
    uint8_t code = byte_at(block, 2 * part + i);
    out.scale[i] = code == 0x7f ? 0 : code & 0x7f;
    auto pairs = load<uint64_t>(block + 4 + 16 * part + 8 * i);
    store(out.q + 16 * i, pairs & mask_of_eight(4));
    store(out.q + 16 * i + 8, pairs >> 4 & mask_of_eight(4));
  }
}

// f16 d; 128 bits. Value d where the bit is set, else -d.
inline void read_q1_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  std::memset(out.q, 0, kBlock);
  add_single_bits(load<uint32_t>(block + 2 + 4 * part), 0, out.q);
}

// f16 d; pairs of bits of 64 neighboring columns. Value d * (q - 1).
inline void read_q2_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  for (uint32_t i = 0; i < kBlock / 8; ++i) {
    uint64_t low = byte_at(block, 2 + 8 * part + 2 * i);
    uint64_t both = low | uint64_t{byte_at(block, 2 + 8 * part + 2 * i + 1)} << 32;
    store(out.q + 8 * i, (both | both << 6 | both << 12 | both << 18) & mask_of_eight(2));
  }
}

// 16 bytes of scales (low nibbles) and minimums (high nibbles) of 16 columns each; 64 bytes of bit
// pairs: each half of 128 columns has 32 bytes, columns 32 k + i in bits 2k of byte i; f16 d, f16
// dmin. Value (d * scale) * q - dmin * minimum.
inline void read_q2_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 80), load<uint16_t>(block + 82), out);
  for (uint32_t i = 0; i < 2; ++i) {
    uint8_t both = byte_at(block, 2 * part + i);
    out.scale[i] = both & 15;
    out.minimum[i] = both >> 4;
  }
  read_bits(block + 16 + kBlock * (part / 4), 2 * (part % 4), 2, out.q);
}

// 32 bytes of high bits (columns 32 k + i in bit k of byte i); 64 bytes of bit pairs as in Q2_K; 12
// bytes with 16 scales; f16 d. Value (d * scale) * (q - 4).
inline void read_q3_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 108), 0, out);
  for (uint32_t i = 0; i < 2; ++i) out.scale[i] = q3_k_scale(block + 96, 2 * part + i);
  read_bits(block + 32 + kBlock * (part / 4), 2 * (part % 4), 2, out.q);
  add_bits(block, part, 1, 2, out.q);
}

// f16 d, f16 dmin; 12 bytes of scales and minimums; 128 bytes of nibbles: 64 columns in 32 bytes,
// low nibbles first. Value (d * scale) * q - dmin * minimum.
inline void read_q4_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2), out);
  read_scale_and_minimum(block + 4, part, out);
  read_bits(block + 16 + kBlock * (part / 2), 4 * (part % 2), 4, out.q);
}

// As Q4_K, with 32 bytes of fifth bits (columns 32 k + i in bit k of byte i) before the nibbles.
inline void read_q5_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2), out);
  read_scale_and_minimum(block + 4, part, out);
  read_bits(block + 48 + kBlock * (part / 2), 4 * (part % 2), 4, out.q);
  add_bits(block + 16, part, 1, 4, out.q);
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales of 16 columns each, f16 d.
// Value (d * scale) * (q - 32). Each half of 128 columns has 64 bytes of nibbles (columns 0-63 low,
// 64-127 high) and 32 bytes of pairs (columns 32 k + i in bits 2k of byte i).
inline void read_q6_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 208), 0, out);
  for (uint32_t i = 0; i < 2; ++i) {
    out.scale[i] = static_cast<int8_t>(byte_at(block, 192 + 2 * part + i));
  }
  uint32_t half = part / 4;
  uint32_t quarter = part % 4;
  read_bits(block + 64 * half + kBlock * (quarter % 2), 4 * (quarter / 2), 4, out.q);
  add_bits(block + 128 + kBlock * half, 2 * quarter, 2, 4, out.q);
}

// f16 d; 8 scales of 6 bits: high pairs in 2 bytes, low nibbles in 4; per 32 columns 16 bytes of
// nibbles. Value (d * (scale - 32)) * codebook[q].
inline void read_iq4_xs(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  uint32_t low = byte_at(block, 4 + part / 2) >> 4 * (part % 2) & 15;
  uint32_t high = load<uint16_t>(block + 2) >> 2 * part & 3;
  out.scale[0] = out.scale[1] = static_cast<int16_t>(static_cast<int>(low | high << 4) - 32);
  read_nibbles(block + 8 + 16 * part, out.q);
}

// 64 bytes of bit pairs as in Q2_K, f16 d. Value d * (q - 1).
inline void read_tq2_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 64), 0, out);
  read_bits(block + kBlock * (part / 4), 2 * (part % 4), 2, out.q);
}

}  // namespace potluck::block_fields
