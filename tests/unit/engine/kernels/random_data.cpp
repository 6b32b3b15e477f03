#include "tests/unit/engine/kernels/random_data.h"

#include <cmath>

namespace potluck {
namespace {

// Where the f16 scales stand in a block.
std::vector<uint32_t> scale_offsets(TensorType type) {
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

void put_float(TensorType type, float value, std::byte* to) {
  if (type == TensorType::kF32) {
    store(to, value);
  } else if (type == TensorType::kF16) {
    store(to, float_to_half(value));
  } else {
    store(to, static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
  }
}

}  // namespace

void set_block_scales(TensorType type, float value, std::byte* block) {
  uint16_t half = float_to_half(value);
  switch (type) {
    case TensorType::kMXFP4:  // an exponent; 128 is one
      block[0] = static_cast<std::byte>(128 + std::ilogb(value));
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

ByteVector random_blocks(TensorType type, uint32_t rows, uint32_t columns, RandomDraws& draws) {
  const BlockFormat& format = block_format(type);
  uint64_t blocks = uint64_t{rows} * columns / format.block_elements;
  ByteVector bytes(blocks * format.block_bytes);
  for (std::byte& byte : bytes) byte = std::byte(draws.bits() & 255);
  for (uint64_t i = 0; i < blocks; ++i) {
    std::byte* block = bytes.data() + i * format.block_bytes;
    if (!format.quantized()) {
      put_float(type, draws.between(-1, 1), block);
      continue;
    }
    set_block_scales(type, draws.between(-1, 1) * 0x1p-6F, block);
  }
  return bytes;
}

std::vector<float> random_floats(size_t count, float range, RandomDraws& draws) {
  std::vector<float> values(count);
  for (float& value : values) value = draws.between(-range, range);
  return values;
}

}  // namespace potluck
