// Steps on their way over an executor: one after the other, several at once, and given up.
#include "engine/model/step_run.h"

#include <limits>

#include <gtest/gtest.h>

#include "engine/experts/expert_compute.h"
#include "tests/support/reluctant_executor.h"
#include "tests/support/stepping_session.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::ReluctantExecutor;
using test::SteppingSession;
using test::TinyModel;

class StepRunTest : public testing::Test {
 protected:
  StepRunTest()
      : model_(std::move(*TinyModel("qwen3moe").load())),
        source_(std::move(*ResidentSource::load(model_->cutter(), {}))),
        compute_(kernels_, pool_),
        local_(model_->cutter(), *source_, compute_),
        reluctant_(local_) {}

  SteppingSession session(std::vector<TokenId> prompt, uint32_t tokens, uint32_t chunk) {
    return SteppingSession(*model_, kernels_, pool_, std::move(prompt), tokens, chunk);
  }
  KvCache cache() const { return KvCache(model_->config(), KvType::kF32, 64); }
  std::vector<float> logits_alone(TokenId token) {
    KvCache own = cache();
    Forward forward(*model_, kernels_, pool_);
    ForwardRow row{token, 0, &own, true};
    EXPECT_TRUE(run_step(forward, {&row, 1}, local_));
    return {forward.logits(0).begin(), forward.logits(0).end()};
  }

  const KernelTable& kernels_ = *available_kernels().front();
  std::unique_ptr<Model> model_;
  std::unique_ptr<GrainSource> source_;
  ThreadPool pool_{1};
  ExpertCompute compute_;
  LocalExecutor local_;
  ReluctantExecutor reluctant_;
};

// Two sessions of different lengths, each prefilling while the other one decodes at times.
TEST_F(StepRunTest, InterleavedSessionsGiveTheBitsOfOneAfterTheOther) {
  auto run = [&](ExpertExecutor& executor, bool together) {
    SteppingSession first = session({3, 9, 27, 40, 11, 2, 7}, 20, 3);
    SteppingSession second = session({40, 1, 5}, 30, 2);
    SteppingSession* const both[] = {&first, &second};
    if (together) {
      test::run_interleaved(both, executor);
    } else {
      for (SteppingSession* one : both) test::run_interleaved({&one, 1}, executor);
    }
    EXPECT_EQ(first.tokens().size(), 20u);
    EXPECT_EQ(second.tokens().size(), 30u);
    return std::pair(first.logits(), second.logits());
  };
  auto expected = run(local_, false);
  EXPECT_NE(expected.first, expected.second);
  EXPECT_EQ(run(local_, true), expected);
  EXPECT_EQ(run(reluctant_, false), expected);
  EXPECT_EQ(reluctant_.most_under_way, 1u);
  EXPECT_EQ(run(reluctant_, true), expected);
  EXPECT_EQ(reluctant_.most_under_way, 2u);
}

TEST_F(StepRunTest, NothingWaitsButTheDriver) {
  KvCache own = cache();
  Forward forward(*model_, kernels_, pool_);
  ForwardRow row{7, 0, &own, true};
  StepRun run(forward, {&row, 1}, reluctant_);
  EXPECT_FALSE(run.finished());
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(run.poll());
  EXPECT_EQ(reluctant_.turns, 0u);
  StepRun* const runs[] = {&run};
  run_to_end(runs, reluctant_);
  EXPECT_TRUE(run.finished());
  EXPECT_TRUE(run.status());
  EXPECT_EQ(reluctant_.turns, TinyModel::kLayers);
  EXPECT_EQ(own.length(), 1u);
  EXPECT_FALSE(run.poll());
  EXPECT_TRUE(std::ranges::equal(forward.logits(0), logits_alone(7)));
}

TEST_F(StepRunTest, AFailureEndsItsOwnStepOnly) {
  KvCache bad_cache = cache();
  KvCache good_cache = cache();
  Forward bad_forward(*model_, kernels_, pool_);
  Forward good_forward(*model_, kernels_, pool_);
  ForwardRow bad_row{7, 0, &bad_cache, true};
  ForwardRow good_row{8, 0, &good_cache, true};
  reluctant_.fails = 1;
  StepRun bad(bad_forward, {&bad_row, 1}, reluctant_);
  StepRun good(good_forward, {&good_row, 1}, reluctant_);
  StepRun* const runs[] = {&bad, &good};
  run_to_end(runs, reluctant_);
  ASSERT_FALSE(bad.status());
  EXPECT_EQ(bad.status().error().message, "as the test wants");
  EXPECT_FALSE(bad.reached_end());
  bad.fill_good_caches();
  EXPECT_EQ(bad_cache.length(), 0u);
  ASSERT_TRUE(good.status());
  EXPECT_EQ(good_cache.length(), 1u);
  EXPECT_TRUE(std::ranges::equal(good_forward.logits(0), logits_alone(8)));
}

// Of three sessions the one in the middle has a row that fails.
TEST_F(StepRunTest, ABadRowCostsItsOwnSessionOnly) {
  constexpr TokenId kBadToken = 5;
  TinyModel tiny("qwen3moe");
  tiny.tensors["token_embd.weight"].values[kBadToken * TinyModel::kHidden] =
      std::numeric_limits<float>::infinity();
  std::unique_ptr<Model> model = std::move(*tiny.load());
  std::unique_ptr<ResidentSource> source = std::move(*ResidentSource::load(model->cutter(), {}));
  LocalExecutor executor(model->cutter(), *source, compute_);
  Forward forward(*model, kernels_, pool_);
  KvCache caches[] = {cache(), cache(), cache()};
  const ForwardRow rows[] = {{7, 0, &caches[0], false}, {8, 1, &caches[0], true},
                             {7, 0, &caches[1], false}, {kBadToken, 1, &caches[1], false},
                             {8, 2, &caches[1], true},  {9, 0, &caches[2], true}};
  StepRun run(forward, rows, executor);
  StepRun* const runs[] = {&run};
  run_to_end(runs, executor);
  ASSERT_FALSE(run.status());
  ASSERT_TRUE(run.reached_end());
  for (const KvCache& one : caches) EXPECT_EQ(one.length(), 0u);
  run.fill_good_caches();
  EXPECT_EQ(caches[0].length(), 2u);
  EXPECT_EQ(caches[1].length(), 0u);
  EXPECT_EQ(caches[2].length(), 1u);
  EXPECT_TRUE(std::ranges::equal(forward.logits(2), logits_alone(9)));
}

TEST_F(StepRunTest, ARunThatIsGivenUpLeavesExecutorCacheAndForwardUsable) {
  KvCache own = cache();
  Forward forward(*model_, kernels_, pool_);
  ForwardRow row{7, 0, &own, true};
  {
    StepRun run(forward, {&row, 1}, reluctant_);
    EXPECT_EQ(reluctant_.under_way(), 1u);
  }
  EXPECT_EQ(reluctant_.under_way(), 0u);
  EXPECT_EQ(own.length(), 0u);
  ASSERT_TRUE(run_step(forward, {&row, 1}, reluctant_));
  EXPECT_TRUE(std::ranges::equal(forward.logits(0), logits_alone(7)));
}

// A step that is run to its end does not take the answers of one that is under way.
TEST_F(StepRunTest, AStepMayRunWhileAnotherOneIsUnderWay) {
  KvCache first_cache = cache();
  KvCache second_cache = cache();
  Forward first(*model_, kernels_, pool_);
  Forward second(*model_, kernels_, pool_);
  ForwardRow first_row{7, 0, &first_cache, true};
  ForwardRow second_row{8, 0, &second_cache, true};
  StepRun run(first, {&first_row, 1}, reluctant_);
  ASSERT_TRUE(run_step(second, {&second_row, 1}, reluctant_));
  EXPECT_FALSE(run.finished());
  StepRun* const runs[] = {&run};
  run_to_end(runs, reluctant_);
  ASSERT_TRUE(run.status());
  EXPECT_TRUE(std::ranges::equal(first.logits(0), logits_alone(7)));
  EXPECT_TRUE(std::ranges::equal(second.logits(0), logits_alone(8)));
}

// A wrong answer is found out one layer later: nothing of it is left in the result.
TEST_F(StepRunTest, AStepInWhichAnAnswerWasWrongIsRepeated) {
  std::vector<float> expected = logits_alone(9);
  for (size_t wrong = 1; wrong < model_->config().layers; ++wrong) {
    ReluctantExecutor executor(local_);
    executor.spoils = wrong;
    KvCache own = cache();
    Forward forward(*model_, kernels_, pool_);
    ForwardRow row{9, 0, &own, true};
    EXPECT_TRUE(run_step(forward, {&row, 1}, executor));
    EXPECT_EQ(executor.repeated, 1u);
    EXPECT_EQ(executor.answers, wrong + 1 + model_->config().layers);
    EXPECT_EQ(own.length(), 1u);
    EXPECT_TRUE(std::ranges::equal(forward.logits(0), expected));
  }
}

}  // namespace
}  // namespace potluck
