#include "engine/kernels/block_format.h"

#include <array>

#include "engine/base/check.h"
#include "engine/kernels/block_readers.h"
#include "engine/kernels/codebooks.h"
#include "engine/kernels/coded_blocks.h"

namespace potluck {
namespace {

using namespace block_fields;
using enum TensorType;

constexpr ActivationForm kFloat = ActivationForm::kF32;
constexpr ActivationForm kSmall = ActivationForm::kQ8Block32;
constexpr ActivationForm kLarge = ActivationForm::kQ8Block256;

void decode_f32(const std::byte* values, uint64_t count, float* out) {
  std::memcpy(out, values, count * sizeof(float));
}

void decode_f16(const std::byte* values, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) out[i] = half_to_float(load<uint16_t>(values + 2 * i));
}

void decode_bf16(const std::byte* values, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) out[i] = bfloat16_to_float(load<uint16_t>(values + 2 * i));
}

// IQ2 and IQ3_XXS: ggml computes d * (0.5 + s) / 4, or / 2. With d divided beforehand that is an
// odd integer 2 s + 1 times a number. Exact: halves of 2^-24 and more become normal numbers of
// float32.
float quarter_of_half(uint16_t bits) {
  return half_to_float(bits) * 0.25F;
}

float eighth_of_half(uint16_t bits) {
  return half_to_float(bits) * 0.125F;
}

// NVFP4 has no scale of its blocks but those of 16 columns. They count units of 2^-9, and the
// codebook holds the weights doubled.
float unit_of_nvfp4(uint16_t) {
  return 0x1p-10F;
}

// --- How quants become weights ------------------------------------------------------------------

constexpr NumberForm offset(int value) {
  return {half_to_float, value, nullptr, false};
}
constexpr NumberForm kWithMinimums = {half_to_float, 0, nullptr, true};
constexpr NumberForm kIq4Book = {half_to_float, 0, codebooks::kIq4, false};
constexpr NumberForm kMxBook = {exponent_to_float, 0, codebooks::kE2M1, false};
constexpr NumberForm kNvBook = {unit_of_nvfp4, 0, codebooks::kE2M1, false, small_float_units};
constexpr NumberForm kSignBook = {half_to_float, 0, codebooks::kSigns, false};
// The scales of the grids are odd numbers of halves, quarters or eighths: stored as the odd number.
constexpr NumberForm kQuarters = {quarter_of_half, 0, nullptr, false};
constexpr NumberForm kEighths = {eighth_of_half, 0, nullptr, false};

constexpr BlockFormat floats(TensorType type, std::string_view name, uint32_t bytes,
                             void (*decode)(const std::byte*, uint64_t, float*)) {
  return {type, name, 1, bytes, kFloat, decode, nullptr, {}};
}

constexpr BlockFormat block(TensorType type, std::string_view name, uint32_t bytes, ReadPart read,
                            const NumberForm& numbers) {
  return {type, name, kBlock, bytes, kSmall, nullptr, read, numbers};
}

// Longer blocks, whose products read activations in blocks of 32 all the same.
constexpr BlockFormat long_block(TensorType type, std::string_view name, uint32_t elements,
                                 uint32_t bytes, ReadPart read, const NumberForm& numbers) {
  return {type, name, elements, bytes, kSmall, nullptr, read, numbers};
}

constexpr BlockFormat super_block(TensorType type, std::string_view name, uint32_t bytes,
                                  ReadPart read, const NumberForm& numbers) {
  return {type, name, kSuperBlock, bytes, kLarge, nullptr, read, numbers};
}

constexpr std::array kFormats = {
    floats(kF32, "F32", 4, decode_f32),
    floats(kF16, "F16", 2, decode_f16),
    floats(kBF16, "BF16", 2, decode_bf16),
    block(kQ4_0, "Q4_0", 18, read_q4_0, offset(8)),
    block(kQ4_1, "Q4_1", 20, read_q4_1, kWithMinimums),
    block(kQ5_0, "Q5_0", 22, read_q5_0, offset(16)),
    block(kQ5_1, "Q5_1", 24, read_q5_1, kWithMinimums),
    block(kQ8_0, "Q8_0", 34, read_q8_0, offset(0)),
    block(kIQ4_NL, "IQ4_NL", 18, read_q4_0, kIq4Book),  // laid out as Q4_0
    block(kMXFP4, "MXFP4", 17, read_mxfp4, kMxBook),
    long_block(kNVFP4, "NVFP4", 64, 36, read_nvfp4, kNvBook),
    long_block(kQ1_0, "Q1_0", 128, 18, read_q1_0, kSignBook),
    long_block(kQ2_0, "Q2_0", 64, 18, read_q2_0, offset(1)),
    super_block(kQ2_K, "Q2_K", 84, read_q2_k, kWithMinimums),
    super_block(kQ3_K, "Q3_K", 110, read_q3_k, offset(4)),
    super_block(kQ4_K, "Q4_K", 144, read_q4_k, kWithMinimums),
    super_block(kQ5_K, "Q5_K", 176, read_q5_k, kWithMinimums),
    super_block(kQ6_K, "Q6_K", 210, read_q6_k, offset(32)),
    super_block(kIQ1_S, "IQ1_S", 50, read_coded<Iq1S>, kEighths),
    super_block(kIQ1_M, "IQ1_M", 56, read_coded<Iq1M>, kEighths),
    super_block(kIQ2_XXS, "IQ2_XXS", 66, read_coded<Iq2Xxs>, kEighths),
    super_block(kIQ2_XS, "IQ2_XS", 74, read_coded<Iq2Xs>, kEighths),
    super_block(kIQ2_S, "IQ2_S", 82, read_coded<Iq2S>, kEighths),
    super_block(kIQ3_XXS, "IQ3_XXS", 98, read_coded<Iq3Xxs>, kQuarters),
    super_block(kIQ3_S, "IQ3_S", 110, read_coded<Iq3S>, offset(0)),
    super_block(kIQ4_XS, "IQ4_XS", 136, read_iq4_xs, kIq4Book),
    super_block(kTQ1_0, "TQ1_0", 54, read_coded<Tq1>, offset(0)),
    super_block(kTQ2_0, "TQ2_0", 66, read_tq2_0, offset(1)),
};

constexpr BlockFormat kWholeNumbers{TensorType::kI32, "I32", 1, 4, ActivationForm::kF32};

}  // namespace

void BlockFormat::decode_part(const BlockPart& part, float* out) const {
  float d = numbers.d(part.d);
  for (uint32_t i = 0; i < kBlock; ++i) {
    // The order is that of ggml's dequantization: rounding twice in another order gives other last
    // bits.
    const uint32_t group = i / 16;
    float scale = d * static_cast<float>(numbers.factor(part.scale[group]));
    out[i] = scale * static_cast<float>(numbers.weight(part.q[i]));
  }
  if (!numbers.minimums) return;
  float dmin = half_to_float(part.dmin);
  for (uint32_t i = 0; i < kBlock; ++i) {
    const uint32_t group = i / 16;
    out[i] = out[i] - dmin * static_cast<float>(part.minimum[group]);
  }
}

void BlockFormat::decode(const std::byte* blocks, uint64_t count, float* out) const {
  if (!quantized()) return decode_floats(blocks, count, out);
  for (uint64_t column = 0; column < count; column += kBlock) {
    BlockPart part;
    const std::byte* block = blocks + column / block_elements * block_bytes;
    read_part(block, static_cast<uint32_t>(column % block_elements) / kBlock, part);
    decode_part(part, out + column);
  }
}

std::span<const BlockFormat> block_formats() {
  return kFormats;
}

const BlockFormat* find_block_format(uint32_t gguf_type) {
  for (const BlockFormat& format : kFormats) {
    if (static_cast<uint32_t>(format.type) == gguf_type) return &format;
  }
  return nullptr;
}

const BlockFormat& block_format(TensorType type) {
  if (type == TensorType::kI32) return kWholeNumbers;
  const BlockFormat* format = find_block_format(static_cast<uint32_t>(type));
  CHECK(format != nullptr);
  return *format;
}

uint16_t float_to_half(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  // From 65520 on, half way between the largest half and the next power, all round to infinity.
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is a multiple of 2^-24: adding 0.5 puts those units into the lowest
    // bits of the sum, and the addition rounds to nearest even.
    float sum = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  // To nearest even: half of the last place less one, plus the bit that decides a tie. A carry into
  // the exponent is right as it is.
  uint32_t odd = (magnitude >> 13) & 1u;
  uint32_t rounded = magnitude - (112u << 23) + 0xfffu + odd;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

}  // namespace potluck
