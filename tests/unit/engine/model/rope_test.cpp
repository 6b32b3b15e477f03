// Rotary embedding against the C library in long double.
#include "engine/model/rope.h"

#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

TEST(Rope, AnglesAreExactNearAndFar) {
  constexpr uint32_t kDimensions = 64;
  for (double base : {10000.0, 1e6, 1e7}) {
    RopeFrequencies rope(kDimensions, base);
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

TEST(Rope, TurnsTheHalvesAgainstEachOther) {
  RopeFrequencies rope(8, 10000.0);
  float cosines[4];
  float sines[4];
  rope.fill(5, cosines, sines);
  CounterRandom random(11);
  std::vector<float> head(12);  // the last four are not turned
  for (size_t i = 0; i < head.size(); ++i) head[i] = static_cast<float>(random.uniform(i));
  std::vector<float> turned = head;
  rotate_half_split(cosines, sines, 4, turned.data());
  for (size_t i = 0; i < 4; ++i) {
    double angle = 5 * std::pow(10000.0, -2.0 * static_cast<double>(i) / 8);
    EXPECT_NEAR(turned[i], head[i] * std::cos(angle) - head[i + 4] * std::sin(angle), 1e-6);
    EXPECT_NEAR(turned[i + 4], head[i] * std::sin(angle) + head[i + 4] * std::cos(angle), 1e-6);
  }
  for (size_t i = 8; i < 12; ++i) EXPECT_EQ(turned[i], head[i]);
}

TEST(Rope, LeavesPositionZeroAlone) {
  RopeFrequencies rope(8, 10000.0);
  float cosines[4];
  float sines[4];
  rope.fill(0, cosines, sines);
  float head[8] = {1, -2, 3, -4, 5, -6, 7, -8};
  float turned[8];
  std::copy(head, head + 8, turned);
  rotate_half_split(cosines, sines, 4, turned);
  EXPECT_TRUE(std::equal(head, head + 8, turned));
}

}  // namespace
}  // namespace potluck
