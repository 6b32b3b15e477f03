#include "engine/base/random.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(Mix64, IsTheFinalizerOfSplitMix64) {
  // The first outputs of the published generator for seed 0, whose state grows by the constant.
  constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(mix64(kGamma), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(mix64(2 * kGamma), 0x06c45d188009454fu);
}

TEST(CounterRandom, IsAFunctionOfSeedPositionAndIndex) {
  CounterRandom random(42);
  EXPECT_EQ(random.bits(7, 1), CounterRandom(42).bits(7, 1));
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t position = 0; position < 10; ++position) {
      for (uint64_t index = 0; index < 10; ++index) {
        seen.insert(CounterRandom(seed).bits(position, index));
      }
    }
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(CounterRandom, DrawsUniformlyFromZeroToOne) {
  CounterRandom random(1);
  constexpr int kDraws = 10000;
  double sum = 0;
  double squares = 0;
  for (uint64_t position = 0; position < kDraws; ++position) {
    double value = random.uniform(position);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    squares += value * value;
  }
  // Six standard deviations of the mean of uniform draws, and of their squares.
  EXPECT_NEAR(sum / kDraws, 0.5, 6 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 6 * std::sqrt(4.0 / 45 / kDraws));
}

TEST(SystemEntropy, GivesDifferentBytesEachTime) {
  SystemEntropy entropy;
  EXPECT_NE(entropy.next64(), entropy.next64());
  entropy.fill({});
}

TEST(SeededEntropy, RepeatsItselfForTheSameSeed) {
  SeededEntropy a(9);
  SeededEntropy b(9);
  SeededEntropy c(10);
  uint64_t first = a.next64();
  EXPECT_EQ(first, b.next64());
  EXPECT_NE(first, c.next64());
  EXPECT_NE(first, a.next64());
}

}  // namespace
}  // namespace potluck
