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
#include "engine/kernels/row_transpose.h"

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
  auto sixteen = load<Sixteen>(pairs);
  store(q, sixteen & mask_of_eight(4));
  store(q + 16, sixteen >> 4 & mask_of_eight(4));
}

// The lowest 8 bits, spread over 8 bytes: bit i becomes bit 0 of byte i.
inline uint64_t spread_bits(uint32_t bits) {
  // Byte i keeps bit i alone, and carries into its top bit if that is set.
  uint64_t kept = (bits & 255) * 0x0101010101010101u & 0x8040201008040201u;
  return (kept + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

// 32 bits, one per column: they stand at `to` in each quant.
inline void add_single_bits(uint32_t bits, uint32_t to, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 16) {
    Sixteen spread{spread_bits(bits >> i), spread_bits(bits >> (i + 8))};
    store(q + i, load<Sixteen>(q + i) | spread << to);
  }
}

// 32 bytes, of which the part's columns have `bits` bits from `shift` on.
inline void read_bits(const std::byte* bytes, uint32_t shift, uint32_t bits, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 16) {
    store(q + i, load<Sixteen>(bytes + i) >> shift & mask_of_eight(bits));
  }
}

// Likewise; the bits stand above those that are there.
inline void add_bits(const std::byte* bytes, uint32_t shift, uint32_t bits, uint32_t to,
                     uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < kBlock; i += 16) {
    Sixteen sixteen = load<Sixteen>(bytes + i) >> shift & mask_of_eight(bits);
    store(q + i, load<Sixteen>(q + i) | sixteen << to);
  }
}

// The sub-scales of a whole GGUF block, a byte each, in the order of the columns that they are of;
// where a format has minimums, each behind its scale. One reader per format (ReadScales).

// Six bits each; the scale is 32 less.
inline uint64_t less_32(uint64_t eight) {
  // The top bit keeps bytes from borrowing of each other.
  constexpr uint64_t kTop = 0x8080808080808080u;
  return ((eight | kTop) - (kTop >> 2)) ^ kTop;
}

// 4 pairs of bits or 8, each to a byte.
inline uint64_t spread_pairs(uint64_t bits) {
  bits = (bits | bits << 24) & 0x000000ff000000ffu;
  bits = (bits | bits << 12) & 0x000f000f000f000fu;
  return (bits | bits << 6) & mask_of_eight(2);
}

// 8 nibbles, each to a byte.
inline uint64_t spread_nibbles(uint64_t bits) {
  bits = (bits | bits << 16) & 0x0000ffff0000ffffu;
  bits = (bits | bits << 8) & 0x00ff00ff00ff00ffu;
  return (bits | bits << 4) & mask_of_eight(4);
}

// Of each 16 columns a byte: the scale and, in its high nibble, the minimum.
inline Sixteen scales_q2_k(const std::byte* block) {
  return load<Sixteen>(block);
}

// 12 bytes with 16 scales of 6 bits: low nibbles in bytes 0-7 (the later eight in the high halves),
// high pairs in bytes 8-11, those of scale i in byte i % 4.
inline Sixteen scales_q3_k(const std::byte* block) {
  constexpr uint64_t kPairs = 0x03030303;
  auto low = load<uint64_t>(block + 96);
  uint64_t high = load<uint32_t>(block + 104);
  uint64_t first = (high & kPairs) | (high >> 2 & kPairs) << 32;
  uint64_t second = (high >> 4 & kPairs) | (high >> 6 & kPairs) << 32;
  return Sixteen{less_32((low & mask_of_eight(4)) | first << 4),
                 less_32((low >> 4 & mask_of_eight(4)) | second << 4)};
}

// 12 bytes with 6-bit scales and minimums of 8 blocks of 32 columns (ggml's get_scale_min_k4). The
// later four keep their low nibbles in bytes 8-11 and their high bits on top of the others.
inline Sixteen scales_q4_k(const std::byte* block) {
  constexpr uint32_t kSix = 0x3f3f3f3f, kNibbles = 0x0f0f0f0f, kPairs = 0x03030303;
  auto scales = load<uint32_t>(block + 4);
  auto minimums = load<uint32_t>(block + 8);
  auto later = load<uint32_t>(block + 12);
  uint64_t later_scales = (later & kNibbles) | (scales >> 6 & kPairs) << 4;
  uint64_t later_minimums = (later >> 4 & kNibbles) | (minimums >> 6 & kPairs) << 4;
  return row_transpose::in_turn((scales & kSix) | later_scales << 32,
                                (minimums & kSix) | later_minimums << 32);
}

// int8 of each 16 columns.
inline Sixteen scales_q6_k(const std::byte* block) {
  return load<Sixteen>(block + 192);
}

// 8 scales of 6 bits: high pairs in 2 bytes, low nibbles in 4.
inline Sixteen scales_iq4_xs(const std::byte* block) {
  uint64_t low = spread_nibbles(load<uint32_t>(block + 4));
  return Sixteen{less_32(low | spread_pairs(load<uint16_t>(block + 2)) << 4), 0};
}

// Four scales of 16 columns, E4M3 without a sign: ggml ignores the sign bit, and takes 0x7f (which
// is no number) as 0 but 0xff as 480. So 0x7f here means 480.
inline Sixteen scales_nvfp4(const std::byte* block) {
  constexpr uint32_t kSeven = 0x7f7f7f7f;
  auto codes = load<uint32_t>(block);
  uint32_t others = codes ^ kSeven;
  // The top bit of each byte that is not 0x7f.
  uint32_t numbers = ((others & kSeven) + kSeven) | others;
  return Sixteen{codes & kSeven & (numbers >> 7 & 0x01010101) * 0xff, 0};
}

inline uint8_t scale_at(const Sixteen& scales, uint32_t index) {
  return static_cast<uint8_t>(scales[index / 8] >> 8 * (index % 8));
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

// Four scales of 16 columns. Then nibbles: of each 16 columns 8 bytes, low nibbles first.
inline void quants_nvfp4(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < 2; ++i) {
    auto pairs = load<uint64_t>(block + 4 + 16 * part + 8 * i);
    store(q + 16 * i, Sixteen{pairs, pairs >> 4} & mask_of_eight(4));
  }
}
inline void read_nvfp4(const std::byte* block, uint32_t part, BlockPart& out) {
  start(0, 0, out);
  for (uint32_t i = 0; i < 2; ++i) out.scale[i] = scale_at(scales_nvfp4(block), 2 * part + i);
  quants_nvfp4(block, part, out.q);
}

// f16 d; 128 bits. Value d where the bit is set, else -d.
inline void quants_q1_0(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  std::memset(q, 0, kBlock);
  add_single_bits(load<uint32_t>(block + 2 + 4 * part), 0, q);
}
inline void read_q1_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  quants_q1_0(block, part, out.q);
}

// f16 d; pairs of bits of 64 neighboring columns. Value d * (q - 1).
inline void quants_q2_0(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  for (uint32_t i = 0; i < 2; ++i) {
    auto pairs = load<uint32_t>(block + 2 + 8 * part + 4 * i);
    store(q + 16 * i, Sixteen{spread_pairs(pairs & 0xffff), spread_pairs(pairs >> 16)});
  }
}
inline void read_q2_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  quants_q2_0(block, part, out.q);
}

// 16 bytes of scales (low nibbles) and minimums (high nibbles) of 16 columns each; 64 bytes of bit
// pairs: each half of 128 columns has 32 bytes, columns 32 k + i in bits 2k of byte i; f16 d, f16
// dmin. Value (d * scale) * q - dmin * minimum.
inline void quants_q2_k(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_bits(block + 16 + kBlock * (part / 4), 2 * (part % 4), 2, q);
}
inline void read_q2_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 80), load<uint16_t>(block + 82), out);
  for (uint32_t i = 0; i < 2; ++i) {
    uint8_t both = scale_at(scales_q2_k(block), 2 * part + i);
    out.scale[i] = both & 15;
    out.minimum[i] = both >> 4;
  }
  quants_q2_k(block, part, out.q);
}

// 32 bytes of high bits (columns 32 k + i in bit k of byte i); 64 bytes of bit pairs as in Q2_K; 12
// bytes with 16 scales; f16 d. Value (d * scale) * (q - 4).
inline void quants_q3_k(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_bits(block + 32 + kBlock * (part / 4), 2 * (part % 4), 2, q);
  add_bits(block, part, 1, 2, q);
}
inline void read_q3_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 108), 0, out);
  for (uint32_t i = 0; i < 2; ++i) {
    out.scale[i] = static_cast<int8_t>(scale_at(scales_q3_k(block), 2 * part + i));
  }
  quants_q3_k(block, part, out.q);
}

// f16 d, f16 dmin; 12 bytes of scales and minimums; 128 bytes of nibbles: 64 columns in 32 bytes,
// low nibbles first. Value (d * scale) * q - dmin * minimum.
inline void quants_q4_k(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_bits(block + 16 + kBlock * (part / 2), 4 * (part % 2), 4, q);
}
inline void read_q4_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2), out);
  out.scale[0] = out.scale[1] = scale_at(scales_q4_k(block), 2 * part);
  out.minimum[0] = out.minimum[1] = scale_at(scales_q4_k(block), 2 * part + 1);
  quants_q4_k(block, part, out.q);
}

// As Q4_K, with 32 bytes of fifth bits (columns 32 k + i in bit k of byte i) before the nibbles.
inline void quants_q5_k(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_bits(block + 48 + kBlock * (part / 2), 4 * (part % 2), 4, q);
  add_bits(block + 16, part, 1, 4, q);
}
inline void read_q5_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), load<uint16_t>(block + 2), out);
  out.scale[0] = out.scale[1] = scale_at(scales_q4_k(block), 2 * part);
  out.minimum[0] = out.minimum[1] = scale_at(scales_q4_k(block), 2 * part + 1);
  quants_q5_k(block, part, out.q);
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales of 16 columns each, f16 d.
// Value (d * scale) * (q - 32). Each half of 128 columns has 64 bytes of nibbles (columns 0-63 low,
// 64-127 high) and 32 bytes of pairs (columns 32 k + i in bits 2k of byte i).
inline void quants_q6_k(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  uint32_t half = part / 4;
  uint32_t quarter = part % 4;
  read_bits(block + 64 * half + kBlock * (quarter % 2), 4 * (quarter / 2), 4, q);
  add_bits(block + 128 + kBlock * half, 2 * quarter, 2, 4, q);
}
inline void read_q6_k(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 208), 0, out);
  for (uint32_t i = 0; i < 2; ++i) {
    out.scale[i] = static_cast<int8_t>(scale_at(scales_q6_k(block), 2 * part + i));
  }
  quants_q6_k(block, part, out.q);
}

// f16 d; 8 scales of 6 bits: high pairs in 2 bytes, low nibbles in 4; per 32 columns 16 bytes of
// nibbles. Value (d * (scale - 32)) * codebook[q].
inline void quants_iq4_xs(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_nibbles(block + 8 + 16 * part, q);
}
inline void read_iq4_xs(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block), 0, out);
  out.scale[0] = out.scale[1] = static_cast<int8_t>(scale_at(scales_iq4_xs(block), part));
  quants_iq4_xs(block, part, out.q);
}

// 64 bytes of bit pairs as in Q2_K, f16 d. Value d * (q - 1).
inline void quants_tq2_0(const std::byte* block, uint32_t part, uint8_t q[kBlock]) {
  read_bits(block + kBlock * (part / 4), 2 * (part % 4), 2, q);
}
inline void read_tq2_0(const std::byte* block, uint32_t part, BlockPart& out) {
  start(load<uint16_t>(block + 64), 0, out);
  quants_tq2_0(block, part, out.q);
}

}  // namespace potluck::block_fields
