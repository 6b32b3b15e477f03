// Rotary embedding against the C library in long double.
#include "engine/model/rope.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

RopeConfig config(uint32_t dimensions, double base) {
  RopeConfig config;
  config.dimensions = dimensions;
  config.base = base;
  return config;
}

// The cosines at position 1 give the frequencies back.
std::vector<double> frequencies(const RopeConfig& config, std::span<const float> divisors = {}) {
  RopeFrequencies rope(config, divisors);
  std::vector<float> cosines(rope.pairs());
  std::vector<float> sines(rope.pairs());
  rope.fill(1, cosines.data(), sines.data());
  std::vector<double> result;
  for (size_t i = 0; i < sines.size(); ++i) {
    result.push_back(std::atan2(sines[i], cosines[i]));
  }
  return result;
}

TEST(Rope, AnglesAreExactNearAndFar) {
  constexpr uint32_t kDimensions = 64;
  for (double base : {10000.0, 1e6, 1e7}) {
    RopeFrequencies rope(config(kDimensions, base));
    ASSERT_EQ(rope.pairs(), kDimensions / 2);
    for (uint32_t position : {0u, 1u, 17u, 4095u, 1'000'003u}) {
      std::vector<float> cosines(rope.pairs());
      std::vector<float> sines(rope.pairs());
      rope.fill(position, cosines.data(), sines.data());
      for (uint32_t i = 0; i < rope.pairs(); ++i) {
        long double angle =
            position * std::pow(static_cast<long double>(base), -2.0L * i / kDimensions);
        EXPECT_NEAR(cosines[i], static_cast<double>(std::cos(angle)), 1e-7);
        EXPECT_NEAR(sines[i], static_cast<double>(std::sin(angle)), 1e-7);
      }
    }
  }
}

TEST(Rope, KnowsFrequenciesThatAreOfNoUse) {
  EXPECT_TRUE(RopeFrequencies(config(8, 10000.0)).in_range());
  EXPECT_TRUE(RopeFrequencies(config(8, 1.0)).in_range());
  EXPECT_FALSE(RopeFrequencies(config(8, -1.0)).in_range());
  EXPECT_FALSE(RopeFrequencies(config(8, std::nan(""))).in_range());
  const std::vector<float> tiny{1, 1, 1e-30F, 1};
  EXPECT_FALSE(RopeFrequencies(config(8, 10000.0), tiny).in_range());
  RopeConfig yarn = config(8, 1.0);  // all pairs turn alike: nothing to tell them apart by
  yarn.scaling = RopeScaling::kYarn;
  yarn.factor = 4;
  yarn.original_context = 64;
  yarn.beta_fast = yarn.beta_slow = 1e-3;
  EXPECT_FALSE(RopeFrequencies(yarn).in_range());
}

TEST(Rope, TurnsTheHalvesAgainstEachOther) {
  RopeFrequencies rope(config(8, 10000.0));
  float cosines[4];
  float sines[4];
  rope.fill(5, cosines, sines);
  CounterRandom random(11);
  std::vector<float> head(12);  // the last four are not turned
  for (size_t i = 0; i < head.size(); ++i) head[i] = static_cast<float>(random.uniform(i));
  std::vector<float> turned = head;
  rotate(RopePairs::kHalves, cosines, sines, 4, turned.data());
  for (size_t i = 0; i < 4; ++i) {
    double angle = 5 * std::pow(10000.0, -2.0 * static_cast<double>(i) / 8);
    EXPECT_NEAR(turned[i], head[i] * std::cos(angle) - head[i + 4] * std::sin(angle), 1e-6);
    EXPECT_NEAR(turned[i + 4], head[i] * std::sin(angle) + head[i + 4] * std::cos(angle), 1e-6);
  }
  for (size_t i = 8; i < 12; ++i) EXPECT_EQ(turned[i], head[i]);
}

TEST(Rope, TurnsNeighbors) {
  RopeFrequencies rope(config(4, 100.0));
  float cosines[2];
  float sines[2];
  rope.fill(3, cosines, sines);
  float head[5] = {1, 2, 3, 4, 5};
  rotate(RopePairs::kNeighbors, cosines, sines, 2, head);
  for (int i = 0; i < 2; ++i) {
    double angle = 3 * std::pow(100.0, -2.0 * i / 4);
    double x = 2 * i + 1;
    EXPECT_NEAR(head[2 * i], x * std::cos(angle) - (x + 1) * std::sin(angle), 1e-5);
    EXPECT_NEAR(head[2 * i + 1], x * std::sin(angle) + (x + 1) * std::cos(angle), 1e-5);
  }
  EXPECT_EQ(head[4], 5);
}

TEST(Rope, ScalesLinearlyAndByDivisors) {
  RopeConfig plain = config(8, 10000.0);
  std::vector<double> before = frequencies(plain);
  RopeConfig linear = plain;
  linear.scaling = RopeScaling::kLinear;
  linear.factor = 4;
  const float divisors[] = {1, 2, 3, 8};
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_NEAR(frequencies(linear)[i], before[i] / 4, 1e-6);
    EXPECT_NEAR(frequencies(plain, divisors)[i], before[i] / divisors[i], 1e-6);
  }
}

// Of 16 pairs with base 10000: 64 positions are 32 turns at pair -1.9..: nothing is faster; they
// are one turn at pair 4.03.
TEST(Rope, YarnBlendsFromFastToSlow) {
  RopeConfig yarn = config(32, 10000.0);
  std::vector<double> before = frequencies(yarn);
  yarn.scaling = RopeScaling::kYarn;
  yarn.factor = 32;
  yarn.original_context = 64;
  for (bool whole : {true, false}) {
    yarn.whole_yarn_range = whole;
    double exact_end = 16 * std::log(64 / (2 * std::acos(-1.0))) / std::log(10000.0);
    double end = whole ? std::ceil(exact_end) : exact_end;
    std::vector<double> scaled = frequencies(yarn);
    for (size_t i = 0; i < before.size(); ++i) {
      double part = std::min(static_cast<double>(i) / end, 1.0);
      EXPECT_NEAR(scaled[i], before[i] * (1 - part) + before[i] / 32 * part, 1e-6) << i;
    }
  }
}

TEST(Rope, LeavesPositionZeroAlone) {
  RopeFrequencies rope(config(8, 10000.0));
  float cosines[4];
  float sines[4];
  rope.fill(0, cosines, sines);
  float head[8] = {1, -2, 3, -4, 5, -6, 7, -8};
  float turned[8];
  std::copy(head, head + 8, turned);
  rotate(RopePairs::kHalves, cosines, sines, 4, turned);
  EXPECT_TRUE(std::equal(head, head + 8, turned));
}

}  // namespace
}  // namespace potluck
