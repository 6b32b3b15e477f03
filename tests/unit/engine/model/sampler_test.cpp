// The sampler against a plain restatement that sorts everything, and against its own odds.
#include "engine/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingSettings neutral() {
  SamplingSettings settings;
  settings.temperature = 1;
  settings.top_p = 1;
  return settings;
}

std::vector<float> random_logits(uint64_t seed, size_t count, double spread) {
  CounterRandom random(seed);
  std::vector<float> logits(count);
  for (size_t i = 0; i < count; ++i) {
    logits[i] = static_cast<float>(spread * (2 * random.uniform(i) - 1));
  }
  return logits;
}

// What is left after top-k, top-p and min-p: id and probability before the draw. Float64 and the C
// library; sorted by logit.
std::vector<std::pair<TokenId, double>> sampler_oracle(std::span<const float> logits,
                                                       const SamplingSettings& settings) {
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](TokenId a, TokenId b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (settings.top_k > 0 && settings.top_k < order.size()) order.resize(settings.top_k);
  double largest = logits[static_cast<size_t>(order[0])];
  std::vector<std::pair<TokenId, double>> kept;
  double total = 0;
  for (TokenId id : order) {
    double p = std::exp((logits[static_cast<size_t>(id)] - largest) / settings.temperature);
    kept.emplace_back(id, p);
    total += p;
  }
  double mass = 0;
  size_t count = 0;
  while (count < kept.size() && mass < settings.top_p * total) mass += kept[count++].second;
  kept.resize(std::max<size_t>(1, count));
  std::erase_if(kept, [&](const auto& c) { return c.second < settings.min_p; });
  return kept;
}

TEST(Sampler, IsGreedyAtTemperatureZero) {
  SamplingSettings settings;
  settings.temperature = 0;
  std::vector<float> logits = {1, 5, 3, 5, 2};
  EXPECT_EQ(sample(logits, {}, 0, settings), 1);
  EXPECT_EQ(argmax(logits), 1);
}

TEST(Sampler, ArgmaxSkipsWhatIsNoNumber) {
  EXPECT_EQ(argmax(std::vector<float>{kNan, 1, 2, kNan}), 2);
  EXPECT_EQ(argmax(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(argmax(std::vector<float>{-kInfinity, -kInfinity}), 0);
}

TEST(Sampler, NeverDrawsOddLogits) {
  std::vector<float> logits = {kNan, 1, -kInfinity, 1};
  for (uint64_t position = 0; position < 100; ++position) {
    TokenId token = sample(logits, {}, position, neutral());
    EXPECT_TRUE(token == 1 || token == 3);
  }
  EXPECT_EQ(sample(std::vector<float>{1, kInfinity}, {}, 0, neutral()), 1);
  EXPECT_EQ(sample(std::vector<float>{kNan, kNan}, {}, 0, neutral()), 0);
}

// Only what the plain restatement keeps is drawn, and about as often as it says.
TEST(Sampler, DrawsWhatTheDefinitionKeepsAsOftenAsItSays) {
  constexpr uint64_t kDraws = 4000;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CounterRandom random(seed);
    SamplingSettings settings;
    settings.temperature = 0.3 + 2 * random.uniform(0);
    settings.top_k = seed % 3 == 0 ? 0 : static_cast<uint32_t>(1 + random.bits(1) % 20);
    settings.top_p = seed % 4 == 0 ? 1.0 : random.uniform(2);
    settings.min_p = seed % 5 == 0 ? 0.2 * random.uniform(3) : 0.0;
    settings.seed = seed;
    std::vector<float> logits = random_logits(seed, 30, 4);
    auto kept = sampler_oracle(logits, settings);
    double total = 0;
    for (const auto& [id, p] : kept) total += p;
    std::map<TokenId, uint64_t> counts;
    for (uint64_t p = 0; p < kDraws; ++p) ++counts[sample(logits, {}, p, settings)];
    uint64_t drawn = 0;
    for (const auto& [id, p] : kept) {
      double expected = p / total * kDraws;
      double tolerance = 5 * std::sqrt(expected) + 3;
      EXPECT_NEAR(static_cast<double>(counts[id]), expected, tolerance) << "seed " << seed;
      drawn += counts[id];
    }
    EXPECT_EQ(drawn, kDraws) << "seed " << seed << " drew what should have been cut";
  }
}

TEST(Sampler, CutsTiesByTheLowerId) {
  std::vector<float> logits = {0, 2, 2, 2, 2, 0};
  SamplingSettings top_k = neutral();
  top_k.top_k = 2;
  SamplingSettings top_p = neutral();
  top_p.top_p = 0.4;  // two of the four: a little over 0.46 of the whole
  for (const SamplingSettings& settings : {top_k, top_p}) {
    std::set<TokenId> drawn;
    for (uint64_t p = 0; p < 200; ++p) drawn.insert(sample(logits, {}, p, settings));
    EXPECT_EQ(drawn, (std::set<TokenId>{1, 2}));
  }
}

TEST(Sampler, KeepsAtLeastTheLikeliest) {
  std::vector<float> logits = random_logits(1, 100, 3);
  TokenId best = argmax(logits);
  SamplingSettings settings = neutral();
  settings.top_p = 0;
  EXPECT_EQ(sample(logits, {}, 7, settings), best);
  settings = neutral();
  settings.min_p = 1;
  EXPECT_EQ(sample(logits, {}, 7, settings), best);
  settings = neutral();
  settings.temperature = 1e-300;
  EXPECT_EQ(sample(logits, {}, 7, settings), best);
}

TEST(Sampler, DrawsByPositionAndSeedAlone) {
  std::vector<float> logits = random_logits(2, 500, 2);
  SamplingSettings settings = neutral();
  std::vector<TokenId> forwards;
  for (uint64_t p = 0; p < 50; ++p) forwards.push_back(sample(logits, {}, p, settings));
  for (uint64_t p = 50; p-- > 0;) EXPECT_EQ(sample(logits, {}, p, settings), forwards[p]);
  settings.seed = 1;
  std::vector<TokenId> others;
  for (uint64_t p = 0; p < 50; ++p) others.push_back(sample(logits, {}, p, settings));
  EXPECT_NE(others, forwards);
}

// Large and flat: every step of the selection is exercised beyond its small buffers.
TEST(Sampler, HandlesLargeVocabularies) {
  std::vector<float> logits = random_logits(3, 150'000, 0.5);
  SamplingSettings settings = neutral();
  settings.top_p = 0.5;
  auto kept = sampler_oracle(logits, settings);
  std::set<TokenId> allowed;
  for (const auto& [id, p] : kept) allowed.insert(id);
  for (uint64_t p = 0; p < 20; ++p) {
    EXPECT_TRUE(allowed.contains(sample(logits, {}, p, settings)));
  }
  settings.top_p = 1;
  settings.top_k = 1000;
  kept = sampler_oracle(logits, settings);
  allowed.clear();
  for (const auto& [id, p] : kept) allowed.insert(id);
  for (uint64_t p = 0; p < 20; ++p) {
    EXPECT_TRUE(allowed.contains(sample(logits, {}, p, settings)));
  }
}

TEST(Sampler, PenalizesRecentTokensOnce) {
  std::vector<float> logits = {2.0F, 1.5F, -1.0F, -1.2F};
  SamplingSettings settings;
  settings.temperature = 0;
  settings.repeat_penalty = 1.25;
  EXPECT_EQ(sample(logits, std::vector<TokenId>{3}, 0, settings), 0);
  // 2.0 / 1.25 = 1.6 is still the largest; twice would not be.
  EXPECT_EQ(sample(logits, std::vector<TokenId>{0, 0}, 0, settings), 0);
  settings.repeat_penalty = 1.5;
  EXPECT_EQ(sample(logits, std::vector<TokenId>{0}, 0, settings), 1);
  // Negative logits move down too: -1.0 * 1.5 is below -1.2.
  std::vector<float> negative = {-1.0F, -1.2F};
  EXPECT_EQ(sample(negative, std::vector<TokenId>{0}, 0, settings), 1);
  // Outside the window, and ids that the vocabulary does not have.
  settings.repeat_window = 2;
  EXPECT_EQ(sample(logits, std::vector<TokenId>{0, 2, 3}, 0, settings), 0);
  EXPECT_EQ(sample(logits, std::vector<TokenId>{-5, 99}, 0, settings), 0);
  settings.repeat_window = 0;
  EXPECT_EQ(sample(logits, std::vector<TokenId>{0}, 0, settings), 0);
}

// 3 stands in the prompt alone, 0 once and 1 three times in the answer.
TEST(Sampler, PenalizesWhatTheAnswerHas) {
  const std::vector<TokenId> history = {3, 3, 0, 1, 1, 1};
  SamplingSettings settings;
  settings.temperature = 0;
  settings.presence_penalty = 0.5;
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.6F, 0.4F}, history, 6, settings, 2), 1);
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.8F, 0.4F}, history, 6, settings, 2), 2);
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.6F, 0.75F}, history, 6, settings, 2), 3);
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.6F, 0.75F}, history, 6, settings, 0), 1);
  settings.presence_penalty = 0;
  settings.frequency_penalty = 0.2;
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.6F, 0.4F}, history, 6, settings, 2), 0);
  settings.frequency_penalty = -2;
  EXPECT_EQ(sample(std::vector<float>{1.0F, 1.2F, 0.6F, 6.0F}, history, 6, settings, 2), 1);
  settings.frequency_penalty = 2;
  EXPECT_EQ(sample(std::vector<float>{0}, std::vector<TokenId>{-5, 99}, 2, settings, 9), 0);
}

TEST(Sampler, AddsTheBiasLast) {
  const std::vector<float> logits = {1.0F, 5.0F, 3.0F};
  SamplingSettings settings;
  settings.temperature = 0;
  settings.logit_bias = {{1, -100}, {7, 100}, {-1, 100}};
  EXPECT_EQ(sample(logits, {}, 0, settings), 2);
  settings.logit_bias = {{0, 4.5}};
  EXPECT_EQ(sample(logits, {}, 0, settings), 0);
  // Behind the repeat penalty: 5 / 4 - 5.5, not (5 - 5.5) * 4.
  settings.repeat_penalty = 4;
  settings.logit_bias = {{1, -5.5}};
  EXPECT_EQ(sample(std::vector<float>{-3.0F, 5.0F}, std::vector<TokenId>{1}, 1, settings), 0);
  settings = neutral();
  settings.logit_bias = {{1, -100}};
  for (uint64_t p = 0; p < 100; ++p) EXPECT_NE(sample(logits, {}, p, settings), 1);
}

TEST(Sampler, ChecksSettings) {
  EXPECT_TRUE(check_sampling({}).ok());
  auto expect_refused = [](auto change, const std::string& name) {
    SamplingSettings settings;
    change(settings);
    Status status = check_sampling(settings);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr(name));
  };
  for (double bad : {-0.1, double{kNan}, double{kInfinity}}) {
    expect_refused([&](auto& s) { s.temperature = bad; }, "temperature");
    expect_refused([&](auto& s) { s.top_p = bad; }, "top-p");
    expect_refused([&](auto& s) { s.min_p = bad; }, "min-p");
    expect_refused([&](auto& s) { s.repeat_penalty = bad; }, "repeat penalty");
    expect_refused([&](auto& s) { s.presence_penalty = bad - 2; }, "presence penalty");
    expect_refused([&](auto& s) { s.frequency_penalty = bad - 2; }, "frequency penalty");
    expect_refused([&](auto& s) { s.logit_bias = {{5, bad - 100}}; }, "logit bias of token 5");
  }
  expect_refused([](auto& s) { s.top_p = 1.1; }, "top-p");
  expect_refused([](auto& s) { s.min_p = 1.1; }, "min-p");
  expect_refused([](auto& s) { s.repeat_penalty = 0; }, "repeat penalty");
  SamplingSettings crowded;
  crowded.logit_bias.resize(1025);
  EXPECT_EQ(check_sampling(crowded).error().code, ErrorCode::kLimit);
}

TEST(Sampler, ChoosesAmongWhatIsAllowed) {
  std::vector<float> logits(200);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i);
  const std::vector<uint64_t> allowed{uint64_t{1} << 5 | uint64_t{1} << 63, 0, 2};  // 5, 63, 129
  SamplingSettings greedy;
  greedy.temperature = 0;
  EXPECT_EQ(sample(logits, {}, 0, greedy, 0, allowed), 129);
  greedy.logit_bias = {{129, -100}, {5, 90}};
  EXPECT_EQ(sample(logits, {}, 0, greedy, 0, allowed), 5);
  SamplingSettings warm;
  warm.temperature = 100;
  std::set<TokenId> drawn;
  for (uint64_t position = 0; position < 500; ++position) {
    drawn.insert(sample(logits, {}, position, warm, 0, allowed));
  }
  EXPECT_EQ(drawn, (std::set<TokenId>{5, 63, 129}));
  // Also where nothing that is allowed has a logit that counts.
  for (float none : {kNan, -kInfinity}) {
    logits[5] = logits[63] = logits[129] = none;
    EXPECT_EQ(sample(logits, {}, 0, {}, 0, allowed), 5);
  }
}

}  // namespace
}  // namespace potluck
