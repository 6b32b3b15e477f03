#include "coordinator/serving/prefill_pace.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

// A step takes 10 ms, and 1 ms more for each row of a prompt.
uint32_t settle(PrefillPace pace, uint32_t steps) {
  for (uint32_t i = 0; i < steps; ++i) {
    pace.note(milliseconds(10), false);
    pace.note(milliseconds(10 + pace.rows()), true);
  }
  return pace.rows();
}

TEST(PrefillPace, SettlesWhereTokensComeTwiceAsSlowly) {
  uint32_t rows = settle(PrefillPace(512), 200);
  EXPECT_GE(rows, 8u);
  EXPECT_LE(rows, 16u);
}

TEST(PrefillPace, TakesAllWherePromptsCostNothing) {
  PrefillPace pace(512);
  for (int i = 0; i < 100; ++i) pace.note(milliseconds(10), false);
  for (int i = 0; i < 100; ++i) pace.note(milliseconds(11), true);
  EXPECT_EQ(pace.rows(), 512u);
}

TEST(PrefillPace, StaysWithinItsBounds) {
  EXPECT_EQ(PrefillPace(4).rows(), 4u);
  PrefillPace pace(512);
  pace.note(milliseconds(1000), true);
  EXPECT_EQ(pace.rows(), 64u) << "nothing to compare with";
  pace.note(milliseconds(10), false);
  for (int i = 0; i < 100; ++i) pace.note(milliseconds(1000), true);
  EXPECT_EQ(pace.rows(), 8u);
}

}  // namespace
}  // namespace potluck
