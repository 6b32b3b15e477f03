// Random blocks against the engine's own decoders: mean and deviation, for every format that the
// engine reads.
#include "tests/support/model_maker/block_filler.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/kernels/block_format.h"

namespace potluck::test {
namespace {

class Filled : public ::testing::TestWithParam<TensorType> {
 protected:
  const FillFormat& filler() const {
    const FillFormat* found = find_fill_format(static_cast<uint32_t>(GetParam()));
    CHECK(found != nullptr);
    return *found;
  }
};

struct Moments {
  double mean = 0;
  double deviation = 0;
};

Moments moments_of(const BlockFormat& format, ByteSpan blocks) {
  std::vector<float> values(blocks.size() / format.block_bytes * format.block_elements);
  format.decode(blocks.data(), values.size(), values.data());
  double sum = 0;
  double squares = 0;
  for (float value : values) {
    sum += value;
    squares += double{value} * value;
  }
  auto count = static_cast<double>(values.size());
  return {sum / count, std::sqrt(squares / count)};
}

TEST_P(Filled, HasTheLayoutThatTheEngineReads) {
  const BlockFormat& format = block_format(GetParam());
  EXPECT_EQ(filler().name, format.name);
  EXPECT_EQ(filler().block_elements, format.block_elements);
  EXPECT_EQ(filler().block_bytes, format.block_bytes);
}

// A deviation of 1, and one as small as the deepest and widest models ask for.
TEST_P(Filled, DecodesToTheDeviationAskedForAroundZero) {
  const BlockFormat& format = block_format(GetParam());
  for (double deviation : {1.0, 0.0005}) {
    ByteVector blocks(uint64_t{1 << 18} / format.block_elements * format.block_bytes);
    fill_blocks(filler(), CounterRandom(3), deviation, 0, blocks);
    Moments found = moments_of(format, blocks);
    EXPECT_NEAR(found.deviation, deviation, 0.03 * deviation);
    EXPECT_NEAR(found.mean, 0, 0.01 * deviation);
  }
}

TEST_P(Filled, MaySafelyBeWrittenInPieces) {
  uint64_t bytes = filler().block_bytes;
  ByteVector whole(12 * bytes);
  fill_blocks(filler(), CounterRandom(4), 1, 0, whole);
  ByteVector part(5 * bytes);
  fill_blocks(filler(), CounterRandom(4), 1, 7, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 7 * bytes));
  fill_blocks(filler(), CounterRandom(5), 1, 7, part);
  EXPECT_FALSE(std::equal(part.begin(), part.end(), whole.begin() + 7 * bytes));
}

// In skewed models some rows are zero bytes.
TEST_P(Filled, ZeroBytesAreZeros) {
  const BlockFormat& format = block_format(GetParam());
  ByteVector blocks(format.block_bytes);
  EXPECT_EQ(moments_of(format, blocks).deviation, 0);
}

std::vector<TensorType> engine_types() {
  std::vector<TensorType> types;
  for (const BlockFormat& format : block_formats()) types.push_back(format.type);
  return types;
}

INSTANTIATE_TEST_SUITE_P(EngineFormats, Filled, ::testing::ValuesIn(engine_types()),
                         [](const auto& test) {
                           return std::string(block_format(test.param).name);
                         });

TEST(FillFormats, AreFoundByNameAndNumber) {
  for (const FillFormat& format : fill_formats()) {
    EXPECT_EQ(find_fill_format(format.name), &format);
    EXPECT_EQ(find_fill_format(format.type), &format);
  }
  EXPECT_EQ(find_fill_format("Q9_K"), nullptr);
  EXPECT_EQ(find_fill_format(4u), nullptr);
}

}  // namespace
}  // namespace potluck::test
