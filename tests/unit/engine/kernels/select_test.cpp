#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

// The arithmetic contract (docs/ARITHMETIC.md, 10), version 1, as one number. If this test fails,
// tokens of this build differ from those of others in the field: either that is a mistake, or
// kArithmeticVersion rises.
constexpr const char* kGoldenDigest =
    "4a8fc8b6c5e3ca74330871b18916a133d7cf4b74717d8094e938c4171ac5f8e6";

TEST(KernelSelfTest, EveryTableGivesTheGoldenDigest) {
  EXPECT_EQ(kArithmeticVersion, 1u);
  for (const KernelTable* table : available_kernels()) {
    EXPECT_EQ(kernel_self_test(*table).hex(), kGoldenDigest) << table->name;
  }
}

// A table with one rounding changed has another digest.
TEST(KernelSelfTest, NoticesADifferentRounding) {
  KernelTable other = *available_kernels().front();
  other.quantize = [](const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
                      int16_t* sums) {
    available_kernels().front()->quantize(x, count, block, quants, scales, sums);
    scales[0] = std::bit_cast<float>(std::bit_cast<uint32_t>(scales[0]) + 1);
  };
  EXPECT_NE(kernel_self_test(other).hex(), kGoldenDigest);
}

TEST(SelectKernels, ByNameOrTheBest) {
  ASSERT_TRUE(select_kernels("scalar").ok());
  EXPECT_EQ(select_kernels("scalar").value()->name, "scalar");
  EXPECT_EQ(available_kernels().front()->name, "scalar");
  EXPECT_EQ(select_kernels("").value(), available_kernels().back());
  for (const KernelTable* table : available_kernels()) {
    EXPECT_EQ(select_kernels(table->name).value(), table);
  }
  auto unknown = select_kernels("abacus");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("abacus"));
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("scalar"));
}

}  // namespace
}  // namespace potluck
