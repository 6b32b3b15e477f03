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

RouterConfig softmax_of(uint32_t experts, uint32_t top_k) {
  RouterConfig config;
  config.experts = experts;
  config.top_k = top_k;
  return config;
}

Choice choose(const RouterConfig& config, std::span<const float> logits,
              const RouterBiases& biases = {}) {
  Choice choice{std::vector<uint32_t>(config.top_k), std::vector<float>(config.top_k)};
  std::vector<float> probabilities(config.experts);
  std::vector<float> scores(config.experts);
  route(config, *available_kernels().front(), logits, biases, {probabilities, scores},
        choice.experts, choice.weights);
  return choice;
}

// In float64 with the C library; ids are compared exactly, weights within rounding.
Choice router_oracle(const RouterConfig& config, std::span<const float> logits) {
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
    Choice expected = router_oracle(config, logits);
    ASSERT_EQ(choice.experts, expected.experts) << "seed " << seed;
    for (uint32_t k = 0; k < config.top_k; ++k) {
      ASSERT_NEAR(choice.weights[k], expected.weights[k], 2e-6) << "seed " << seed;
    }
  }
}

TEST(Router, BreaksTiesByTheLowerId) {
  RouterConfig config = softmax_of(8, 3);
  std::vector<float> logits(8, 1.0F);
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{0, 1, 2}));
  logits[6] = 2.0F;
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{6, 0, 1}));
  EXPECT_EQ(choose(softmax_of(8, 8), logits).experts,
            (std::vector<uint32_t>{6, 0, 1, 2, 3, 4, 5, 7}));
}

// Probabilities that vanish are still probabilities: the lowest ids win among zeros.
TEST(Router, KeepsGoingWhenOneExpertTakesAll) {
  std::vector<float> logits(5, -1000.0F);
  logits[3] = 1000.0F;
  Choice choice = choose(softmax_of(5, 3), logits);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{3, 0, 1}));
  EXPECT_EQ(choice.weights, (std::vector<float>{1, 0, 0}));
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

// The bias decides who is chosen, not with what weight.
TEST(Router, AddsTheSelectionBiasForChoosingOnly) {
  RouterConfig config = softmax_of(4, 2);
  config.gating = Gating::kSigmoid;
  config.normalize_weights = false;
  config.weight_scale = 2.5F;
  const float logits[] = {3, 2, 1, 0};
  const float selection[] = {-1, 0, 0, 1};
  Choice choice = choose(config, logits, {{}, selection});
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{3, 1}));
  EXPECT_NEAR(choice.weights[0], 2.5 * sigmoid(0), 1e-6);
  EXPECT_NEAR(choice.weights[1], 2.5 * sigmoid(2), 1e-6);
  config.normalize_weights = true;
  choice = choose(config, logits, {{}, selection});
  EXPECT_NEAR(choice.weights[0], 2.5 * sigmoid(0) / (sigmoid(0) + sigmoid(2)), 1e-6);
}

TEST(Router, TakesTheSoftmaxOfTheChosen) {
  RouterConfig config = softmax_of(4, 2);
  config.gating = Gating::kSoftmaxOfChosen;
  config.normalize_weights = false;
  const float logits[] = {3, 2, 1, 0};
  const float bias[] = {-5, 0, 0, 2.5F};
  Choice choice = choose(config, logits, {bias, {}});
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{3, 1}));
  EXPECT_NEAR(choice.weights[0], sigmoid(0.5), 1e-6);
  EXPECT_NEAR(choice.weights[1], sigmoid(-0.5), 1e-6);
}

// By logits: sigmoids of large ones are all 1.
TEST(Router, TakesTheSigmoidOfTheChosen) {
  RouterConfig config = softmax_of(4, 1);
  config.gating = Gating::kSigmoidOfChosen;
  config.normalize_weights = false;
  const float logits[] = {20, 25, 24, -1};
  Choice choice = choose(config, logits);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{1}));
  EXPECT_EQ(choice.weights[0], 1.0F);
  const float small[] = {-3, -1, -2, -4};
  EXPECT_NEAR(choose(config, small).weights[0], sigmoid(-1), 1e-7);
}

// Each weight is a softmax over what is close to the largest that is left.
TEST(Router, MixesSparsely) {
  RouterConfig config = softmax_of(5, 2);
  config.gating = Gating::kSparseMixer;
  config.normalize_weights = false;
  // Of 10, 9.9 is within 2 %; of 9.9, nothing else.
  const float close[] = {1, 9.9F, 0, 10, -3};
  Choice choice = choose(config, close);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{3, 1}));
  EXPECT_NEAR(choice.weights[0], sigmoid(0.1), 1e-6);
  EXPECT_EQ(choice.weights[1], 1.0F);
  // Distances are in parts of the larger magnitude, which may be the other one's.
  const float below_zero[] = {-1, -1.01F, -2, -4, -1.05F};
  choice = choose(config, below_zero);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{0, 1}));
  EXPECT_NEAR(choice.weights[0], sigmoid(0.01), 1e-6);
  const float zeros[] = {0, 0, 0, 0, 0};
  choice = choose(config, zeros);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{0, 1}));
  EXPECT_NEAR(choice.weights[0], 0.2, 1e-6);
  EXPECT_NEAR(choice.weights[1], 0.25, 1e-6);
  const float broken[] = {0, std::numeric_limits<float>::quiet_NaN(), 0, 0, 0};
  EXPECT_TRUE(std::isnan(choose(config, broken).weights[0]));
}

TEST(Router, ChoosesFromTheBestGroups) {
  RouterConfig config = softmax_of(8, 3);
  config.gating = Gating::kSigmoid;
  config.groups = 4;
  config.groups_used = 2;
  // Best of each pair: 5, 3, 4, 0; sums of sigmoids: pairs 1 and 2 are best together.
  const float logits[] = {5, -9, 3, 2, 4, 1, 0, 0};
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{4, 2, 3}));
  config.groups_by_best_two = false;
  EXPECT_EQ(choose(config, logits).experts, (std::vector<uint32_t>{0, 4, 5}));
  // Equal groups: the lower ones stay.
  const float equal[8] = {};
  EXPECT_EQ(choose(config, equal).experts, (std::vector<uint32_t>{0, 1, 2}));
}

TEST(Router, SaysSoWhenLogitsHaveNoOrder) {
  constexpr Gating kAll[] = {Gating::kSoftmax, Gating::kSigmoid, Gating::kSoftmaxOfChosen};
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (size_t i = 0; i < 9; ++i) {
      std::vector<float> logits(5, 0.5F);
      logits[i % 3 * 2] = bad;
      RouterConfig config = softmax_of(5, 2);
      config.gating = kAll[i / 3];
      Choice choice = choose(config, logits);
      EXPECT_EQ(choice.experts, (std::vector<uint32_t>{0, 1}));
      EXPECT_TRUE(std::isnan(choice.weights[0]) && std::isnan(choice.weights[1]));
    }
  }
}

TEST(Router, GatesByTheRootOfSoftplus) {
  RouterConfig config = softmax_of(4, 2);
  config.gating = Gating::kSqrtSoftplus;
  config.weight_scale = 1.5F;
  const float logits[] = {-2, 1, 3, 0};
  Choice choice = choose(config, logits);
  EXPECT_EQ(choice.experts, (std::vector<uint32_t>{2, 1}));
  auto score = [](double x) { return std::sqrt(std::log1p(std::exp(x))); };
  EXPECT_NEAR(choice.weights[0], 1.5 * score(3) / (score(3) + score(1)), 1e-6);
  EXPECT_NEAR(choice.weights[1], 1.5 * score(1) / (score(3) + score(1)), 1e-6);
}

// Experts that a table names keep its order, and may be named twice.
TEST(Router, WeighsExpertsThatAreNamed) {
  RouterConfig config = softmax_of(4, 3);
  config.gating = Gating::kSigmoid;
  const float logits[] = {-2, 1, 3, 0};
  const uint32_t named[] = {0, 2, 0};
  std::vector<float> weights(3);
  std::vector<float> probabilities(4);
  std::vector<float> scores(4);
  const KernelTable& kernels = *available_kernels().front();
  weigh(config, kernels, logits, {}, {probabilities, scores}, named, weights);
  auto score = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double sum = 2 * score(-2) + score(3);
  EXPECT_NEAR(weights[0], score(-2) / sum, 1e-6);
  EXPECT_NEAR(weights[1], score(3) / sum, 1e-6);
  EXPECT_EQ(weights[2], weights[0]);
  const float broken[] = {-2, std::numeric_limits<float>::quiet_NaN(), 3, 0};
  weigh(config, kernels, broken, {}, {probabilities, scores}, named, weights);
  EXPECT_TRUE(std::isnan(weights[0]));
}

}  // namespace
}  // namespace potluck
