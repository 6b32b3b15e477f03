// The scales of GGUF's quantized blocks, for tests that fill blocks with random bytes: any quants
// and sub-scales are legal, but an f16 of random bits may be an infinity. Pure functions; any
// thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/block_format.h"

namespace potluck::test {

// Where the f16 scales stand in a block.
inline std::vector<uint32_t> scale_offsets(TensorType type) {
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    case TensorType::kTQ1_0:
      return {52};
    case TensorType::kTQ2_0:
      return {64};
    default:
      return {0};
  }
}

// Makes `value` the scale of a quantized block (and of its minimums). MXFP4 and NVFP4 take its
// exponent.
inline void set_block_scales(TensorType type, float value, std::byte* block) {
  uint16_t half = float_to_half(value);
  switch (type) {
    case TensorType::kMXFP4:  // an exponent; 128 is one
      block[0] = static_cast<std::byte>(128 + std::ilogb(value));
      break;
    case TensorType::kNVFP4:  // four powers of two from 1/64 to 256
      for (uint32_t i = 0; i < 4; ++i) {
        block[i] = static_cast<std::byte>(std::clamp(std::ilogb(value) + 7, 1, 15) << 3);
      }
      break;
    case TensorType::kIQ1_M:  // a nibble on top of each of four words
      for (uint32_t i = 0; i < 4; ++i) {
        std::byte& top = block[49 + 2 * i];
        top = (top & std::byte{15}) | static_cast<std::byte>((half >> 4 * i & 15) << 4);
      }
      break;
    default:
      for (uint32_t offset : scale_offsets(type)) store(block + offset, half);
  }
}

// Scales a quantized block so that its largest value is about `value`.
inline void set_largest_value(TensorType type, float value, std::byte* block) {
  const BlockFormat& format = block_format(type);
  set_block_scales(type, 1, block);
  std::vector<float> values(format.block_elements);
  format.decode(block, values.size(), values.data());
  float largest = 1;
  for (float decoded : values) largest = std::max(largest, std::fabs(decoded));
  set_block_scales(type, value / largest, block);
}

}  // namespace potluck::test
