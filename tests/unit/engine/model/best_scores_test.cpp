#include "engine/model/best_scores.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using ::testing::UnorderedElementsAre;

// All of them in order, then the first ones.
std::vector<uint32_t> by_sorting(std::span<const float> scores, uint32_t count) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  order.resize(count);
  std::ranges::sort(order);
  return order;
}

void expect_the_best(std::span<const float> scores, uint32_t count) {
  std::vector<uint32_t> found = best_scores(scores, count);
  std::ranges::sort(found);
  EXPECT_EQ(found, by_sorting(scores, count)) << count << " of " << scores.size();
}

TEST(BestScores, AreThoseThatSortingFinds) {
  CounterRandom random(1);
  for (double size : {1e-30, 1.0, 1e30}) {
    std::vector<float> scores(3000);
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i] = static_cast<float>(size * (random.uniform(i) - 0.5));
    }
    for (uint32_t count : {1u, 2u, 700u, 1500u, 2999u, 3000u}) expect_the_best(scores, count);
  }
}

TEST(BestScores, TiesGoToTheLowerIndex) {
  CounterRandom random(2);
  std::vector<float> scores(1000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(random.bits(i) % 5);
  for (uint32_t count : {1u, 100u, 500u, 999u}) expect_the_best(scores, count);
  EXPECT_THAT(best_scores(std::vector<float>(9, 0.25F), 3), UnorderedElementsAre(0, 1, 2));
}

TEST(BestScores, ZerosAreEqualAndInfinitiesHaveAnOrder) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(best_scores(std::vector{-0.0F, 0.0F, -1.0F}, 1), UnorderedElementsAre(0));
  EXPECT_THAT(best_scores(std::vector{-kInfinity, -1e38F, kInfinity, 1e38F, -kInfinity}, 4),
              UnorderedElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace potluck
