#include "engine/base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace potluck {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return Error{ErrorCode::kInvalidArgument, "expected an even number"};
  return value / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = half(8);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 4);
  Result<int> bad = half(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bad.error().message, "expected an even number");
}

TEST(Result, GivesAwayWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> owner(std::make_unique<int>(5));
  std::unique_ptr<int> taken = std::move(*owner);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, StatusIsGoodUnlessItHoldsAnError) {
  EXPECT_TRUE(Status().ok());
  Status bad = Error{ErrorCode::kIo, "no"};
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "no");
}

TEST(Error, GainsThePlaceOnItsWayUp) {
  Error error{ErrorCode::kTimeout, "no answer"};
  Error outer = error.in("layer 3").in("peer a");
  EXPECT_EQ(outer.code, ErrorCode::kTimeout);
  EXPECT_EQ(outer.message, "peer a: layer 3: no answer");
}

TEST(ResultDeathTest, TakingTheValueOfAnErrorIsAProgrammingError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)half(7).value(), "CHECK.*failed");
  EXPECT_DEATH((void)half(8).error(), "CHECK.*failed");
}

}  // namespace
}  // namespace potluck
