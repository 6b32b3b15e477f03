#include "protocol/latency_quantiles.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Never too short, and up to a fifth too long.
void expect_near(std::optional<Duration> found, Duration exact) {
  ASSERT_TRUE(found);
  EXPECT_GE(*found, exact);
  EXPECT_LE(*found, exact * 12 / 10);
}

TEST(LatencyQuantiles, SaysNothingUntilThereWereEnough) {
  LatencyQuantiles quantiles;
  for (uint32_t i = 0; i + 1 < LatencyQuantiles::kEnough; ++i) quantiles.record(milliseconds(3));
  EXPECT_FALSE(quantiles.quantile(0.5));
  quantiles.record(milliseconds(3));
  expect_near(quantiles.quantile(0.5), milliseconds(3));
  expect_near(quantiles.quantile(0.99), milliseconds(3));
}

TEST(LatencyQuantiles, AnOutlierIsNoTailAndSeveralAreOne) {
  LatencyQuantiles quantiles;
  for (int i = 0; i < 300; ++i) quantiles.record(milliseconds(4));
  quantiles.record(seconds(2));
  expect_near(quantiles.quantile(0.99), milliseconds(4));
  for (int i = 0; i < 5; ++i) quantiles.record(seconds(2));
  expect_near(quantiles.quantile(0.99), seconds(2));
  expect_near(quantiles.quantile(0.95), milliseconds(4));
}

TEST(LatencyQuantiles, WhatIsLongPastDoesNotCount) {
  LatencyQuantiles quantiles;
  for (int i = 0; i < 1000; ++i) quantiles.record(seconds(1));
  for (int i = 0; i < 5000; ++i) quantiles.record(milliseconds(2));
  expect_near(quantiles.quantile(0.99), milliseconds(2));
}

TEST(LatencyQuantiles, AnyTimeHasABin) {
  LatencyQuantiles quantiles;
  for (int i = 0; i < 30; ++i) quantiles.record(Duration::min());
  EXPECT_LE(*quantiles.quantile(1), microseconds(100));
  for (int i = 0; i < 30; ++i) quantiles.record(Duration::max());
  EXPECT_GE(*quantiles.quantile(1), seconds(20));
  EXPECT_LE(*quantiles.quantile(0), microseconds(100));
}

TEST(LatencyQuantiles, QuantilesOfManyTimesAreNearTheExactOnes) {
  CounterRandom random(5);
  LatencyQuantiles quantiles;
  std::vector<Duration> all;
  for (uint64_t i = 0; i < 500; ++i) {
    all.push_back(microseconds(60 + random.bits(i) % 100'000));
    quantiles.record(all.back());
  }
  std::sort(all.begin(), all.end());
  for (double q : {0.1, 0.5, 0.9, 0.95, 0.99, 1.0}) {
    expect_near(quantiles.quantile(q), all[static_cast<size_t>(std::lround(q * 500)) - 1]);
  }
}

}  // namespace
}  // namespace potluck
