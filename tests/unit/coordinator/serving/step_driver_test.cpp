// Steps of several requests over one executor: together, several at a time, and given up.
#include "coordinator/serving/step_driver.h"

#include <map>

#include <gtest/gtest.h>

#include "engine/model/sampler.h"
#include "tests/support/reluctant_executor.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

class StepDriverTest : public testing::Test {
 protected:
  StepDriverTest()
      : engine_(test::data_path("arch/qwen3moe/model.gguf"), {}),
        reluctant_(engine_.executor()),
        second_(engine_.new_forward()) {
    for (int i = 0; i < 4; ++i) caches_.emplace_back(engine_.config(), KvType::kF32, 64);
  }

  StepPart part(size_t index, std::span<const TokenId> tokens) {
    return {index, &caches_[index], tokens, 1};
  }
  TokenId alone(std::span<const TokenId> tokens) {
    KvCache cache(engine_.config(), KvType::kF32, 64);
    auto score = score_tokens(engine_.scoring(cache, 64), tokens);
    CHECK(score.ok());
    return argmax(score->last_logits);
  }
  // What the sink was told, as the likeliest tokens.
  std::map<CompletionId, TokenId> run(StepDriver& driver) {
    std::map<CompletionId, TokenId> told;
    while (driver.is_busy()) {
      bool moved = driver.poll([&](const EndedPart& part) {
        EXPECT_TRUE(part.status);
        told[part.id] = argmax(part.logits);
      });
      if (!moved) reluctant_.turn(Duration::zero());
    }
    return told;
  }

  test::SoloEngine engine_;
  test::ReluctantExecutor reluctant_;
  std::unique_ptr<Forward> second_;
  std::vector<KvCache> caches_;
  const std::vector<TokenId> a_ = {3, 9, 27};
  const std::vector<TokenId> b_ = {40, 1};
  const std::vector<TokenId> c_ = {5, 6, 7, 8};
};

TEST_F(StepDriverTest, TwoStepsAreUnderWayAtATime) {
  Forward* const forwards[] = {&engine_.forward(), second_.get()};
  StepDriver driver(forwards, reluctant_);
  const StepPart first[] = {part(0, a_), part(1, b_)};
  driver.begin(first);
  EXPECT_TRUE(driver.has_room());
  const StepPart second[] = {part(2, c_)};
  driver.begin(second);
  EXPECT_FALSE(driver.has_room());
  EXPECT_TRUE(driver.is_under_way(1));
  EXPECT_FALSE(driver.is_under_way(3));
  auto told = run(driver);
  EXPECT_EQ(reluctant_.most_under_way, 2u);
  EXPECT_EQ(told,
            (std::map<CompletionId, TokenId>{{0, alone(a_)}, {1, alone(b_)}, {2, alone(c_)}}));
  EXPECT_EQ(caches_[0].length(), 3u);
  EXPECT_EQ(caches_[2].length(), 4u);
}

TEST_F(StepDriverTest, WhatIsGivenUpCostsTheOthersNothing) {
  // The one Forward is busy later.
  const TokenId alone_b = alone(b_);
  const TokenId alone_c = alone(c_);
  Forward* const forwards[] = {&engine_.forward()};
  StepDriver driver(forwards, reluctant_);
  const StepPart parts[] = {part(0, a_), part(1, b_)};
  driver.begin(parts);
  EXPECT_FALSE(driver.give_up(0)) << "the step goes on for the other one";
  EXPECT_TRUE(driver.is_under_way(0));
  EXPECT_EQ(run(driver), (std::map<CompletionId, TokenId>{{1, alone_b}}));

  const StepPart last[] = {part(2, c_)};
  driver.begin(last);
  EXPECT_TRUE(driver.give_up(2)) << "the step has ended";
  EXPECT_FALSE(driver.is_busy());
  EXPECT_EQ(reluctant_.under_way(), 0u);
  EXPECT_EQ(caches_[2].length(), 0u);
  EXPECT_TRUE(driver.give_up(9));
  driver.begin(last);
  EXPECT_EQ(run(driver), (std::map<CompletionId, TokenId>{{2, alone_c}}));
}

TEST_F(StepDriverTest, AnExecutorThatFailsFailsItsStep) {
  Forward* const forwards[] = {&engine_.forward(), second_.get()};
  StepDriver driver(forwards, reluctant_);
  reluctant_.fails = 1;
  const StepPart first[] = {part(0, a_), part(1, b_)};
  const StepPart second[] = {part(2, c_)};
  driver.begin(first);
  driver.begin(second);
  std::map<CompletionId, bool> told;
  while (driver.is_busy()) {
    if (!driver.poll([&](const EndedPart& part) { told[part.id] = part.status.ok(); })) {
      reluctant_.turn(Duration::zero());
    }
  }
  EXPECT_EQ(told, (std::map<CompletionId, bool>{{0, false}, {1, false}, {2, true}}));
  EXPECT_EQ(caches_[0].length(), 0u);
}

}  // namespace
}  // namespace potluck
