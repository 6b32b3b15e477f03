#include "engine/base/clock.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SystemClock, NeverGoesBack) {
  SystemClock clock;
  TimePoint last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    TimePoint now = clock.now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.unix_seconds(), 1'700'000'000);  // November 2023
}

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock;
  EXPECT_EQ(clock.now(), TimePoint{0});
  int64_t start = clock.unix_seconds();
  clock.advance(milliseconds(1500));
  EXPECT_EQ(clock.now(), milliseconds(1500));
  EXPECT_EQ(clock.unix_seconds(), start + 1);
  clock.set(seconds(60));
  EXPECT_EQ(clock.now(), seconds(60));
}

}  // namespace
}  // namespace potluck
