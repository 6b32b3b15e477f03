// The table of block formats: how GGUF stores the numbers of a tensor, and what each format means
// for arithmetic. Everything that depends on a format asks this table; adding one is a row here,
// its reader in block_fields.h, a row in panel_layout.cpp and a tile in formats/; the whole recipe
// is in CONTRIBUTING.md. Constants and pure functions; any thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace potluck {

// The numbers are GGUF's (ggml_type).
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI32 = 26,  // whole numbers, of tables: no weights, and not in the table of formats
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// How a product reads its activations. Crosses the wire: the numbers are part of the protocol.
enum class ActivationForm : uint8_t {
  kF32 = 0,
  kQ8Block32 = 1,   // int8 with one f32 scale per 32 values
  kQ8Block256 = 2,  // int8 with one f32 scale per 256 values
};

// Values that share a scale: 32 or 256, and 1 for kF32.
constexpr uint32_t activation_block(ActivationForm form) {
  return form == ActivationForm::kF32 ? 1 : form == ActivationForm::kQ8Block32 ? 32 : 256;
}

struct BlockPart;  // 32 columns of one row, as stored: see block_fields.h

// How the stored numbers of a quantized format are read.
struct NumberForm {
  float (*d)(uint16_t bits) = nullptr;  // the block's scale
  int offset = 0;                       // a quant q stands for q - offset, as an int8,
  const int8_t* codebook = nullptr;     // or for codebook[q]
  bool minimums = false;                // of each 16 columns, scaled by an f16, to be taken off
  int32_t (*sub_scale)(int16_t code) = nullptr;  // what a sub-scale stands for, if not itself

  int8_t weight(uint8_t q) const {
    return codebook != nullptr ? codebook[q] : static_cast<int8_t>(q - offset);
  }
  int32_t factor(int16_t scale) const { return sub_scale != nullptr ? sub_scale(scale) : scale; }
};

struct BlockFormat {
  TensorType type;
  std::string_view name;
  uint32_t block_elements;  // values per block
  uint32_t block_bytes;
  ActivationForm activations;  // what a product over whole rows of this format reads
  // Float formats have the first, others the second: it reads the part `part` of 32 columns of a
  // block, whose numbers mean what `numbers` says.
  void (*decode_floats)(const std::byte* values, uint64_t count, float* out) = nullptr;
  void (*read_part)(const std::byte* block, uint32_t part, BlockPart& out) = nullptr;
  NumberForm numbers = {};

  bool quantized() const { return activations != ActivationForm::kF32; }

  // Decodes `count` (a multiple of block_elements) values, exactly: the value that ggml's own
  // dequantization defines, in float32.
  void decode(const std::byte* blocks, uint64_t count, float* out) const;

  // The 32 values of a part of a quantized format.
  void decode_part(const BlockPart& part, float* out) const;
};

std::span<const BlockFormat> block_formats();

// nullptr for a type that is not in the table.
const BlockFormat* find_block_format(uint32_t gguf_type);
// The type must be in the table, or kI32: of that only the size and the name are of use.
const BlockFormat& block_format(TensorType type);

// IEEE half and bfloat16: every value, subnormals and NaNs included. A half's NaN becomes quiet and
// keeps its sign and the leading bits of its payload, both ways, as processors convert it.
inline float half_to_float(uint16_t half) {
  // A half is s eeeee mmmmmmmmmm with bias 15; a float32 has 8 exponent bits with bias 127. Moved
  // into place it is too small by 2^112; the product is exact, for subnormals too.
  constexpr uint32_t kInfinity = 31u << 23;
  uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffu) << 13;
  uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112F);
  if (magnitude >= kInfinity) {
    bits = magnitude | 0x7f800000u | (magnitude > kInfinity ? 0x400000u : 0u);
  }
  return std::bit_cast<float>(sign | bits);
}
uint16_t float_to_half(float value);  // nearest, ties to even

// The exponent of MXFP4 (E8M0) for weights that are stored doubled: 2^(exponent - 128), subnormal
// for the lowest two.
constexpr float exponent_to_float(uint16_t exponent) {
  int bits = std::max(4 * (exponent - 1), exponent + 1) << 21;
  return std::bit_cast<float>(bits);
}

// The scales of NVFP4 (E4M3 without a sign), in units of 2^-9: an integer of four leading bits.
constexpr int32_t small_float_units(int16_t code) {
  int exponent = code >> 3 & 15;
  int mantissa = code & 7;
  return exponent == 0 ? mantissa : (8 + mantissa) << (exponent - 1);
}
constexpr float bfloat16_to_float(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

}  // namespace potluck
