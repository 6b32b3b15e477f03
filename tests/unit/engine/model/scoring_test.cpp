// Scores against their definitions, on a model small enough to run a token at a time.
#include "engine/model/scoring.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/experts/expert_compute.h"
#include "engine/model/sampler.h"
#include "engine/model/step_run.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

// -log softmax, with the C library.
double plain_nll(std::span<const float> logits, TokenId token) {
  double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum) - logits[static_cast<size_t>(token)];
}

class Scoring : public ::testing::Test {
 protected:
  Scoring()
      : model_(std::move(*TinyModel("qwen3").load())),
        kernels_(*available_kernels().front()),
        pool_(1),
        source_(std::move(*ResidentSource::load(model_->cutter(), {}))),
        compute_(kernels_, pool_),
        executor_(model_->cutter(), *source_, compute_),
        forward_(*model_, kernels_, pool_),
        cache_(model_->config(), KvType::kF32, 256) {}

  ScoringRun run(uint32_t chunk = 512) {
    return {model_->config(), forward_, executor_, cache_, chunk, {}};
  }
  std::vector<TokenId> tokens(uint32_t count) {
    std::vector<TokenId> some;
    for (uint32_t i = 0; i < count; ++i) {
      some.push_back(static_cast<TokenId>(CounterRandom(1).bits(i) % TinyModel::kVocabulary));
    }
    return some;
  }
  // Logits after each token, one step per token.
  std::vector<std::vector<float>> logits_of(std::span<const TokenId> list) {
    KvCache cache(model_->config(), KvType::kF32, 256);
    std::vector<std::vector<float>> all;
    for (TokenId token : list) {
      const ForwardRow row{token, cache.length(), &cache, true};
      EXPECT_TRUE(run_step(forward_, {&row, 1}, executor_).ok());
      all.emplace_back(forward_.logits(0).begin(), forward_.logits(0).end());
    }
    return all;
  }

  std::unique_ptr<Model> model_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  std::unique_ptr<GrainSource> source_;
  ExpertCompute compute_;
  LocalExecutor executor_;
  Forward forward_;
  KvCache cache_;
};

TEST_F(Scoring, NegativeLogLikelihoodIsThatOfSoftmax) {
  std::vector<float> logits = {1, -3, 88, 87.5F, -200};
  for (TokenId token = 0; token < 5; ++token) {
    EXPECT_NEAR(negative_log_likelihood(logits, token), plain_nll(logits, token), 1e-10);
  }
}

TEST_F(Scoring, MeansOverTheTokensAfterTheFirst) {
  std::vector<TokenId> list = tokens(23);
  auto logits = logits_of(list);
  double sum = 0;
  for (size_t i = 1; i < list.size(); ++i) sum += plain_nll(logits[i - 1], list[i]);
  for (uint32_t chunk : {1u, 5u, 512u}) {
    auto score = score_tokens(run(chunk), list);
    ASSERT_TRUE(score.ok()) << score.error().message;
    EXPECT_NEAR(score->mean_nll, sum / 22, 1e-9);
    EXPECT_EQ(score->last_logits, logits.back());
    EXPECT_EQ(cache_.length(), 23u);
  }
  EXPECT_EQ(score_tokens(run(), tokens(1))->mean_nll, 0.0);
}

TEST_F(Scoring, ContinuesGreedily) {
  std::vector<TokenId> list = tokens(9);
  auto score = score_tokens(run(), list);
  auto greedy = continue_greedily(run(), score->last_logits, 6);
  ASSERT_TRUE(greedy.ok());
  ASSERT_EQ(greedy->size(), 6u);
  for (TokenId token : *greedy) {
    EXPECT_EQ(token, argmax(logits_of(list).back()));
    list.push_back(token);
  }
  EXPECT_TRUE(continue_greedily(run(), score->last_logits, 0)->empty());
}

TEST_F(Scoring, PerplexityScoresTheSecondHalfOfEachWindow) {
  constexpr uint32_t kContext = 10;
  std::vector<TokenId> list = tokens(37);  // three windows and a rest
  for (std::optional<TokenId> begin : {std::optional<TokenId>(), std::optional<TokenId>(47)}) {
    double sum = 0;
    for (size_t first = 0; first < 30; first += kContext) {
      std::vector<TokenId> window(list.begin() + first, list.begin() + first + kContext);
      if (begin) window[0] = *begin;
      auto logits = logits_of(window);
      for (size_t p = 5; p <= 8; ++p) sum += plain_nll(logits[p], window[p + 1]);
    }
    auto score = score_perplexity(run(3), list, kContext, begin);
    ASSERT_TRUE(score.ok()) << score.error().message;
    EXPECT_EQ(score->scored_tokens, 12u);
    EXPECT_NEAR(score->mean_nll, sum / 12, 1e-9);
    EXPECT_NEAR(score->perplexity, std::exp(sum / 12), 1e-7 * std::exp(sum / 12));
  }
}

TEST_F(Scoring, NamesWhatIsWrong) {
  auto expect_error = [](const auto& result, const std::string& part) {
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr(part));
  };
  expect_error(score_tokens(run(), {}), "at least one token");
  expect_error(score_tokens(run(), std::vector<TokenId>{1, 48}), "token 1 of the list");
  expect_error(score_tokens(run(), std::vector<TokenId>{-1}), "is -1");
  expect_error(score_tokens(run(), tokens(257)), "257 tokens do not fit a context of 256");
  expect_error(score_perplexity(run(), tokens(9), 10, std::nullopt), "has 9");
  expect_error(score_perplexity(run(), tokens(9), 3, std::nullopt), "at least 4");
  expect_error(score_perplexity(run(), tokens(300), 300, std::nullopt), "do not fit");
  auto score = score_tokens(run(), tokens(250));
  EXPECT_TRUE(continue_greedily(run(), score->last_logits, 7).ok());
  expect_error(continue_greedily(run(), score->last_logits, 2), "do not fit");
}

TEST_F(Scoring, ReportsProgress) {
  ScoringRun reporting = run(4);
  uint64_t last = 0;
  reporting.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, 20u);
    last = done;
  };
  ASSERT_TRUE(score_tokens(reporting, tokens(20)).ok());
  EXPECT_EQ(last, 20u);
  last = 0;
  ASSERT_TRUE(score_perplexity(reporting, tokens(25), 10, std::nullopt).ok());
  EXPECT_EQ(last, 20u);
}

}  // namespace
}  // namespace potluck
