#include "engine/base/buffer.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace potluck {
namespace {

class BufferSizes : public ::testing::TestWithParam<size_t> {};

TEST_P(BufferSizes, AreAlignedZeroedAndWritable) {
  Buffer buffer(GetParam());
  ASSERT_EQ(buffer.size(), GetParam());
  size_t alignment = GetParam() >= 2 * kMiB ? 2 * kMiB : 64;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u);
  auto span = buffer.span();
  EXPECT_TRUE(std::all_of(span.begin(), span.end(), [](std::byte b) { return b == std::byte{0}; }));
  std::fill(span.begin(), span.end(), std::byte{0xa5});
  EXPECT_EQ(span.back(), std::byte{0xa5});
}

INSTANTIATE_TEST_SUITE_P(Buffer, BufferSizes,
                         ::testing::Values(1, 63, 64, 65, 4096, 2 * kMiB - 1, 2 * kMiB,
                                           2 * kMiB + 1, 5 * kMiB));

TEST(Buffer, OfNoBytesIsEmpty) {
  EXPECT_TRUE(Buffer().empty());
  EXPECT_TRUE(Buffer(0).empty());
  EXPECT_TRUE(Buffer(0).span().empty());
}

TEST(Buffer, MovesWithoutCopying) {
  for (size_t size : {size_t{100}, size_t{3 * kMiB}}) {
    Buffer from(size);
    const std::byte* memory = from.data();
    Buffer to = std::move(from);
    EXPECT_EQ(to.data(), memory);
    EXPECT_EQ(to.size(), size);
    to = Buffer(7);
    EXPECT_EQ(to.size(), 7u);
  }
}

TEST(Buffer, ShowsItselfAsAnArrayOfWholeElements) {
  Buffer buffer(11);
  buffer.as<uint32_t>()[1] = 0x01020304;
  EXPECT_EQ(buffer.as<uint32_t>().size(), 2u);
  EXPECT_EQ(buffer.span()[4], std::byte{4});
}

}  // namespace
}  // namespace potluck
