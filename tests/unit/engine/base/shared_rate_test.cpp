#include "engine/base/shared_rate.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SharedRate, ServesOneAfterTheOther) {
  SharedRate rate(1000);
  EXPECT_EQ(rate.through(seconds(10), 500), seconds(10) + milliseconds(500));
  EXPECT_EQ(rate.through(seconds(10), 1000), seconds(11) + milliseconds(500)) << "behind the first";
  EXPECT_EQ(rate.through(seconds(20), 250), seconds(20) + milliseconds(250)) << "idle in between";
  EXPECT_EQ(rate.through(seconds(20), 0), seconds(20) + milliseconds(250));
}

TEST(SharedRate, HoldsOnAverage) {
  SharedRate rate(300'000'000);
  TimePoint end{0};
  for (int i = 0; i < 10'000; ++i) end = rate.through(TimePoint(0), 4096);
  EXPECT_NEAR(std::chrono::duration<double>(end).count(), 10'000 * 4096 / 3e8, 1e-5);
}

}  // namespace
}  // namespace potluck
