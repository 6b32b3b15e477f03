// The router against a plain restatement of its definition: sort all probabilities, take the first.
#include "engine/model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

struct Choice {
  std::vector<uint32_t> experts;
  std::vector<float> weights;
};

Choice choose(const RouterConfig& config, std::span<const float> logits) {
  Choice choice{std::vector<uint32_t>(config.top_k), std::vector<float>(config.top_k)};
  std::vector<float> probabilities(config.experts);
  route(config, *available_kernels().front(), logits, probabilities, choice.experts,
        choice.weights);
  return choice;
}

// In float64 with the C library; ids are compared exactly, weights within rounding.
Choice oracle(const RouterConfig& config, std::span<const float> logits) {
  std::vector<uint32_t> order(config.experts);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  double largest = logits[order[0]];
  double total = 0;
  for (float logit : logits) total += std::exp(logit - largest);
  double sum = 0;
  for (uint32_t k = 0; k < config.top_k; ++k) sum += std::exp(logits[order[k]] - largest) / total;
  Choice choice;
  for (uint32_t k = 0; k < config.top_k; ++k) {
    double p = std::exp(logits[order[k]] - largest) / total;
    choice.experts.push_back(order[k]);
    choice.weights.push_back(static_cast<float>(config.normalize_weights ? p / sum : p));
  }
  return choice;
}

TEST(Router, AgreesWithSortingEverything) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CounterRandom random(seed);
    RouterConfig config;
    config.experts = 1 + static_cast<uint32_t>(random.bits(0) % 200);
    config.top_k = 1 + static_cast<uint32_t>(random.bits(1) % std::min(config.experts, 16u));
    config.normalize_weights = seed % 2 == 0;
    std::vector<float> logits;
    // Coarse steps, so that ties are common and no two different logits round to one probability.
    for (uint32_t i = 0; i < config.experts; ++i) {
      logits.push_back(static_cast<float>(random.bits(2, i) % 64) * 0.125F - 4);
    }
    Choice choice = choose(config, logits);
    Choice expected = oracle(config, logits);
    ASSERT_EQ(choice.experts, expected.experts) << "seed " << seed;
    for (uint32_t k = 0; k < config.top_k; ++k) {
      ASSERT_NEAR(choice.weights[k], expected.weights[k], 2e-6) << "seed " << seed;
    }
  }
}

TEST(Router, BreaksTiesByTheLowerId) {
  RouterConfig config{8, 3, true};
  std::vector<float> logits(8, 1.0F);
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{0, 1, 2}));
  logits[6] = 2.0F;
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{6, 0, 1}));
  EXPECT_EQ(choose({8, 8, true}, logits).experts, (std::vector<uint32_t>{6, 0, 1, 2, 3, 4, 5, 7}));
}

// Probabilities that vanish are still probabilities: the lowest ids win among zeros.
TEST(Router, KeepsGoingWhenOneExpertTakesAll) {
  std::vector<float> logits(5, -1000.0F);
  logits[3] = 1000.0F;
  Choice choice = choose({5, 3, true}, logits);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{3, 0, 1}));
  EXPECT_EQ(choice.weights, (std::vector<float>{1, 0, 0}));
}

TEST(Router, SaysSoWhenLogitsHaveNoOrder) {
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (size_t place : {0u, 2u, 4u}) {
      std::vector<float> logits(5, 0.5F);
      logits[place] = bad;
      Choice choice = choose({5, 2, true}, logits);
      EXPECT_EQ(choice.experts, (std::vector<uint32_t>{0, 1}));
      EXPECT_TRUE(std::isnan(choice.weights[0]) && std::isnan(choice.weights[1]));
    }
  }
}

}  // namespace
}  // namespace potluck
