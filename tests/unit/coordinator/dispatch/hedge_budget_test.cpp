#include "coordinator/dispatch/hedge_budget.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(HedgeBudget, AllowsOneInTwentyAndSavesUpALittle) {
  HedgeBudget budget;
  EXPECT_FALSE(budget.take(1));
  for (int i = 0; i < 21; ++i) budget.message_sent();
  EXPECT_TRUE(budget.take(1));
  EXPECT_FALSE(budget.take(1));
  for (int i = 0; i < 100'000; ++i) budget.message_sent();
  EXPECT_FALSE(budget.take(9));
  EXPECT_TRUE(budget.take(8));
  EXPECT_FALSE(budget.take(1));
}

}  // namespace
}  // namespace potluck
