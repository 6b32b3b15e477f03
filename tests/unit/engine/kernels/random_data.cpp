#include "tests/unit/engine/kernels/random_data.h"

#include "tests/support/block_scales.h"

namespace potluck {
namespace {

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
    test::set_block_scales(type, draws.between(-1, 1) * 0x1p-6F, block);
  }
  return bytes;
}

std::vector<float> random_floats(size_t count, float range, RandomDraws& draws) {
  std::vector<float> values(count);
  for (float& value : values) value = draws.between(-range, range);
  return values;
}

}  // namespace potluck
