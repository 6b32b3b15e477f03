#include "engine/model/log_probabilities.h"

#include <cmath>

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(LogProbabilities, AreTheLogarithmOfTheSoftmax) {
  const std::vector<float> logits = {1.0F, -3.0F, 90.0F, 89.0F, 90.0F};
  LogProbabilities probabilities(logits);
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit} - 90);
  double total = 0;
  for (TokenId token = 0; token < 5; ++token) {
    double expected = logits[static_cast<size_t>(token)] - 90.0 - std::log(sum);
    EXPECT_NEAR(probabilities.of(token), expected, 1e-12);
    total += std::exp(probabilities.of(token));
  }
  EXPECT_NEAR(total, 1, 1e-12);
}

TEST(LogProbabilities, NamesTheLikeliestFirst) {
  const std::vector<float> logits = {1.0F, -3.0F, 90.0F, 89.0F, 90.0F};
  LogProbabilities probabilities(logits);
  auto best = probabilities.likeliest(3);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].first, 2);
  EXPECT_EQ(best[1].first, 4);
  EXPECT_EQ(best[2].first, 3);
  EXPECT_EQ(best[2].second, probabilities.of(3));
  EXPECT_EQ(probabilities.likeliest(99).size(), 5u);
  EXPECT_TRUE(probabilities.likeliest(0).empty());
}

}  // namespace
}  // namespace potluck
