#include "coordinator/plan/expected_maximum.h"

#include <numeric>

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(ExpectedMaximum, OfNothingIsNothing) {
  EXPECT_EQ(expected_maximum({}), 0);
}

TEST(ExpectedMaximum, OfOneIsItsMean) {
  RandomTime time{{{1, .25}, {3, .5}, {2, .25}}};
  EXPECT_NEAR(expected_maximum({time}), .25 + 1.5 + .5, 1e-12);
}

TEST(ExpectedMaximum, OfTwoDice) {
  RandomTime die;
  for (int i = 1; i <= 6; ++i) die.values.push_back({static_cast<double>(i), 1.0 / 6});
  EXPECT_NEAR(expected_maximum({die, die}), 161.0 / 36, 1e-9);
  RandomTime two = die;
  two.count = 2;
  EXPECT_NEAR(expected_maximum({two}), 161.0 / 36, 1e-9);
}

TEST(ExpectedMaximum, CertainTimes) {
  RandomTime one{{{1, 1}}};
  RandomTime five{{{5, 1}}};
  RandomTime seldom{{{0, .9}, {10, .1}}};
  EXPECT_NEAR(expected_maximum({one, five}), 5, 1e-12);
  EXPECT_NEAR(expected_maximum({five, seldom}), .9 * 5 + 1, 1e-12);
}

TEST(Binomial, AddsUpToOneWithTheRightMean) {
  for (double p : {0.0, .1, .5, 1.0}) {
    std::vector<double> distribution = binomial(10, p);
    EXPECT_NEAR(std::accumulate(distribution.begin(), distribution.end(), 0.0), 1, 1e-12);
    double mean = 0;
    for (size_t k = 0; k < distribution.size(); ++k) {
      mean += static_cast<double>(k) * distribution[k];
    }
    EXPECT_NEAR(mean, 10 * p, 1e-12);
  }
}

}  // namespace
}  // namespace potluck
