#include "engine/kernels/block_format.h"

#include <array>

#include "engine/base/check.h"
#include "engine/kernels/block_decode.h"
#include "engine/kernels/block_fields.h"

namespace potluck {
namespace {

using namespace block_fields;

constexpr ActivationForm kFloat = ActivationForm::kF32;
constexpr ActivationForm kSmall = ActivationForm::kQ8Block32;
constexpr ActivationForm kLarge = ActivationForm::kQ8Block256;

constexpr std::array kFormats = {
    BlockFormat{TensorType::kF32, "F32", 1, 4, kFloat, decode_f32},
    BlockFormat{TensorType::kF16, "F16", 1, 2, kFloat, decode_f16},
    BlockFormat{TensorType::kBF16, "BF16", 1, 2, kFloat, decode_bf16},
    BlockFormat{TensorType::kQ4_0, "Q4_0", kBlock, kQ4_0Bytes, kSmall, decode_q4_0},
    BlockFormat{TensorType::kQ8_0, "Q8_0", kBlock, kQ8_0Bytes, kSmall, decode_q8_0},
    BlockFormat{TensorType::kQ4_K, "Q4_K", kSuperBlock, kQ4_KBytes, kLarge, decode_q4_k},
    BlockFormat{TensorType::kQ6_K, "Q6_K", kSuperBlock, kQ6_KBytes, kLarge, decode_q6_k},
};

}  // namespace

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
  uint32_t odd = (magnitude >> 13) & 1u;
  uint32_t rounded = magnitude - (112u << 23) + 0xfffu + odd;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

}  // namespace potluck
