#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

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
