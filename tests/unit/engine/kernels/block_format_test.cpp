#include "engine/kernels/block_format.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/unit/engine/kernels/quant_fixture.h"

namespace potluck {
namespace {

// The value of a half by its definition, in double.
double half_value(uint16_t half) {
  int exponent = (half >> 10) & 31;
  double mantissa = half & 0x3ff;
  double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_nan_half(uint32_t half) {
  return (half & 0x7fff) > 0x7c00;
}

TEST(BlockFormat, EveryHalfConvertsExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    auto half = static_cast<uint16_t>(bits);
    float value = half_to_float(half);
    if (is_nan_half(bits)) {
      uint32_t expected = (bits & 0x8000) << 16 | 0x7fc00000 | (bits & 0x3ff) << 13;
      EXPECT_EQ(std::bit_cast<uint32_t>(value), expected) << bits;
      EXPECT_EQ(float_to_half(value), bits | 0x200) << bits;
      continue;
    }
    if ((bits & 0x7fff) == 0x7c00) {
      EXPECT_TRUE(std::isinf(value)) << bits;
    } else {
      EXPECT_EQ(static_cast<double>(value), half_value(half)) << bits;
    }
    EXPECT_EQ(std::signbit(value), bits >= 0x8000) << bits;
    EXPECT_EQ(float_to_half(value), bits);
  }
}

// Between two neighbors: below the middle goes down, above goes up, the middle to the even one.
TEST(BlockFormat, FloatToHalfRoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    auto low = static_cast<uint16_t>(bits);
    auto high = static_cast<uint16_t>(bits + 1);
    double upper = high == 0x7c00 ? 65536.0 : half_value(high);  // infinity starts at 65520
    auto middle = static_cast<float>((half_value(low) + upper) / 2);
    EXPECT_EQ(float_to_half(middle), bits % 2 == 0 ? low : high) << bits;
    EXPECT_EQ(float_to_half(std::nextafter(middle, 0.0F)), low) << bits;
    EXPECT_EQ(float_to_half(std::nextafter(middle, 1e30F)), high) << bits;
    EXPECT_EQ(float_to_half(-middle), 0x8000 | (bits % 2 == 0 ? low : high)) << bits;
  }
  EXPECT_EQ(float_to_half(1e30F), 0x7c00);
  EXPECT_EQ(float_to_half(-INFINITY), 0xfc00);
  EXPECT_EQ(float_to_half(1e-30F), 0);
}

TEST(BlockFormat, LooksUpByGgufNumber) {
  ASSERT_NE(find_block_format(12), nullptr);
  EXPECT_EQ(find_block_format(12)->name, "Q4_K");
  EXPECT_EQ(find_block_format(12)->block_bytes, 144u);
  EXPECT_EQ(find_block_format(4), nullptr);
  EXPECT_EQ(find_block_format(0xffffffffu), nullptr);
  for (const BlockFormat& format : block_formats()) {
    EXPECT_EQ(&block_format(format.type), &format);
    EXPECT_EQ(format.block_elements % activation_block(format.activations), 0u) << format.name;
  }
}

// The fixture holds every block format of GGUF but F32, whose values are its bytes.
TEST(BlockFormat, DecodesTheFixtureBitForBit) {
  auto fixture = load_quant_fixture();
  size_t compared = 0;
  for (const auto& [name, tensor] : fixture) {
    if (!name.ends_with(".blocks")) continue;
    const BlockFormat* format = find_block_format(tensor.type);
    ASSERT_NE(format, nullptr) << name;
    EXPECT_EQ(std::string(format->name) + ".blocks", name);
    const FixtureTensor& expected = fixture.at(name.substr(0, name.size() - 7) + ".f32");
    uint64_t count = tensor.columns * tensor.rows;
    ASSERT_GE(tensor.bytes.size(), count / format->block_elements * format->block_bytes);
    std::vector<float> values(count);
    format->decode(tensor.bytes.data(), count, values.data());
    EXPECT_EQ(std::memcmp(values.data(), expected.bytes.data(), count * sizeof(float)), 0) << name;
    ++compared;
  }
  EXPECT_EQ(compared + 1, block_formats().size());
}

}  // namespace
}  // namespace potluck
