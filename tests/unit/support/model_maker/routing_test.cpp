// How often experts are used: what was asked for, and what the engine's router then does.
#include "tests/support/model_maker/routing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/model/expert_prefetch.h"
#include "tests/unit/support/model_maker/made_model.h"

namespace potluck::test {
namespace {

TEST(Routing, QuantilesAreThoseOfANormalVariable) {
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-9);
  EXPECT_NEAR(normal_quantile(0.975), 1.959964, 1e-5);
  EXPECT_NEAR(normal_quantile(0.01), -2.326348, 1e-5);
}

TEST(Routing, UsesFollowZipfsLawBelowTheCap) {
  std::vector<double> uses = expert_uses(128, 8, 1.0);
  EXPECT_NEAR(std::accumulate(uses.begin(), uses.end(), 0.0), 8, 1e-6);
  EXPECT_EQ(uses[0], 0.95);
  EXPECT_NEAR(uses[40] / uses[81], 2, 1e-9);
  for (double use : expert_uses(16, 4, 0)) EXPECT_NEAR(use, 0.25, 1e-9);
}

// Where a table names experts by token, those of the next layer are known; where a router chooses,
// rows that are alike want the same ones.
TEST(Routing, NamesTheExpertsOfTokensBeforeTheirLayer) {
  ModelShape shape = must_shape("deepseek4");
  shape.config.router.hash_layers = 2;
  MadeModel made(shape);
  const std::vector<TokenId> tokens = {3, 90, 3, 17};
  const TokenExperts& table = made.model().weights().layers[1].router.by_token;
  ASSERT_FALSE(table.empty());
  std::vector<uint32_t> named;
  for (TokenId token : tokens) {
    const std::span<const uint32_t> experts = table.of(static_cast<uint32_t>(token));
    named.insert(named.end(), experts.begin(), experts.end());
  }
  std::ranges::sort(named);
  named.erase(std::unique(named.begin(), named.end()), named.end());

  ThreadPool pool(1);
  const KernelTable& kernels = *select_kernels("").value();
  ExpertPrefetch prefetch(made.model(), {kernels, pool});
  const ModelConfig& config = made.model().config();
  const std::vector<float> residual(tokens.size() * config.residual_columns(), 0.5F);
  prefetch.run(0, tokens, residual.data());
  EXPECT_TRUE(std::ranges::equal(prefetch.experts(), named));
  prefetch.run(1, tokens, residual.data());
  EXPECT_EQ(prefetch.experts().size(), config.router.top_k);
  prefetch.run(config.layers - 1, tokens, residual.data());
  EXPECT_TRUE(prefetch.experts().empty());
}

struct Skew {
  std::string preset;
  double exponent;
};

class SkewedModel : public ::testing::TestWithParam<Skew> {
 protected:
  static ModelShape shape() {
    ModelShape shape = must_shape(GetParam().preset);
    ModelConfig& c = shape.config;
    c.layers = 6;
    c.hidden = 256;
    c.vocabulary = 4096;
    c.router.experts = 32;
    c.router.top_k = 4;
    shape.skew = GetParam().exponent;
    shape.format = "Q8_0";
    return shape;
  }
};

// Uses of one layer's experts, most used first, as parts of the tokens.
std::vector<double> sorted_uses(const std::map<uint32_t, uint64_t>& counts, uint32_t experts,
                                uint64_t tokens) {
  std::vector<double> uses(experts, 0);
  for (const auto& [expert, count] : counts) {
    uses[expert] = static_cast<double>(count) / static_cast<double>(tokens);
  }
  std::ranges::sort(uses, std::greater<>());
  return uses;
}

// Half the summed difference: how much of the use went elsewhere than was asked.
double misplaced(std::span<const double> found, std::span<const double> asked) {
  double sum = 0;
  for (size_t i = 0; i < found.size(); ++i) sum += std::abs(found[i] - asked[i]);
  return sum / 2 / std::accumulate(asked.begin(), asked.end(), 0.0);
}

TEST_P(SkewedModel, UsesItsExpertsAsOftenAsAsked) {
  MadeModel made(shape());
  const ModelConfig& c = made.model().config();
  constexpr uint32_t kRuns = 24;
  constexpr uint32_t kTokens = 64;
  for (uint32_t run = 0; run < kRuns; ++run) {
    std::vector<TokenId> tokens;
    for (uint32_t i = 0; i < kTokens; ++i) {
      tokens.push_back(static_cast<TokenId>(CounterRandom(run).bits(i) % c.vocabulary));
    }
    ASSERT_TRUE(made.run(tokens).ok());
  }
  std::vector<double> asked = expert_uses(c.router.experts, c.router.top_k, GetParam().exponent);
  std::map<uint32_t, uint64_t> favorites;
  for (auto& [layer, counts] : made.executor().uses()) {
    std::vector<double> found = sorted_uses(counts, c.router.experts, kRuns * kTokens);
    EXPECT_LT(misplaced(found, asked), 0.1) << "layer " << layer;
    fprintf(stderr, "%f ", misplaced(found, asked));
    auto favorite =
        std::ranges::max_element(counts, {}, [](const auto& use) { return use.second; });
    ++favorites[favorite->first];
  }
  // Each layer has an order of its own.
  if (GetParam().exponent > 0) {
    EXPECT_GT(favorites.size(), c.layers / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Routing, SkewedModel,
                         ::testing::Values(Skew{"qwen3moe", 0}, Skew{"qwen3moe", 0.6},
                                           Skew{"qwen3moe", 1}, Skew{"qwen3moe", 1.4},
                                           Skew{"gpt-oss", 1}, Skew{"minimax-m2", 1},
                                           Skew{"granitemoe", 1}, Skew{"mixtral", 1}),
                         [](const auto& test) {
                           std::string name = test.param.preset + "_" +
                                              std::to_string(std::lround(10 * test.param.exponent));
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Routing, SkewNeedsAFormatThatCanBeDecoded) {
  ModelShape shape = must_shape("qwen3moe");
  shape.skew = 1;
  shape.config.hidden = 32;
  Result<ModelPlan> plan = plan_model(shape);
  ASSERT_FALSE(plan.ok());
  EXPECT_TRUE(plan.error().message.starts_with("--skew: the hidden size of 32 must be above 32"));
}

}  // namespace
}  // namespace potluck::test
