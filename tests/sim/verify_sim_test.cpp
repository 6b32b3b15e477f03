// Workers that answer wrongly, in virtual time: where every answer is compared the text is always
// that of the solo run; where some are, the liar is found out soon. Honest workers are never put
// into quarantine, whatever else happens to them: every simulation looks for that (SimPool).
// POTLUCK_SIM_SEED and POTLUCK_SIM_RUNS as in pool_sim_test.cpp.
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/seed_range.h"
#include "tests/sim/sim_scenario.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kVerifySeeds = 24;
constexpr LieKind kLieKinds[] = {LieKind::kFlipBit, LieKind::kStale, LieKind::kZeros,
                                 LieKind::kOtherExpert};

const SimModel& verified_model() {
  static const SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  return model;
}

std::unique_ptr<SimPool> verified_pool(uint64_t seed, VerifyMode verify, uint32_t replicas,
                                       size_t workers = 3) {
  SimPoolOptions options;
  options.seed = seed;
  options.slices = 1 + static_cast<uint32_t>(seed % 2);
  options.replicas = replicas;
  options.verify = verify;
  auto pool = std::make_unique<SimPool>(verified_model(), options);
  for (size_t i = 0; i < workers; ++i) pool->add_worker();
  EXPECT_TRUE(pool->run_until([&] { return pool->at_rest(); }, seconds(600)));
  return pool;
}

GenerateOptions text_of(uint32_t tokens) {
  GenerateOptions options;
  options.prompt = verified_model().prompt(9);
  options.tokens = tokens;
  return options;
}

void show_log(const SimPool& pool) {
  if (!testing::Test::HasFailure()) return;
  for (const std::string& line : pool.log()) ADD_FAILURE() << line;
}

TEST(VerifySim, WhereEveryAnswerIsComparedNoLieIsEverSeen) {
  SeedRange seeds = seeds_to_run(kVerifySeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    for (uint32_t replicas : {1u, 2u}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << replicas << " replicas");
      auto pool = verified_pool(seed, VerifyMode::kAll, replicas);
      LieKind kind = kLieKinds[seed % std::size(kLieKinds)];
      pool->make_liar(seed % 3, kind, kind == LieKind::kFlipBit ? 7 : 3);
      GenerateOptions options = text_of(25);
      auto generated = verified_model().generate(options, pool->threads(), pool->executor());
      ASSERT_TRUE(generated.ok());
      EXPECT_TRUE(*generated == verified_model().solo(options));
      EXPECT_TRUE(pool->in_quarantine(seed % 3));
      EXPECT_GT(pool->liar(seed % 3).lies(), 0u);
      EXPECT_EQ(pool->violations(), std::vector<std::string>{});
      show_log(*pool);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// A liar is in quarantine, others do its work, and the next text is right.
TEST(VerifySim, ASampleFindsTheLiarAndTheNextTextIsRight) {
  SeedRange seeds = seeds_to_run(kVerifySeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    auto pool = verified_pool(seed, VerifyMode::kSample, 1 + seed % 2);
    pool->make_liar(seed % 3, kLieKinds[seed % std::size(kLieKinds)], 4);
    for (int i = 0; i < 20 && !pool->in_quarantine(seed % 3); ++i) {
      ASSERT_TRUE(verified_model().generate(text_of(20), pool->threads(), pool->executor()).ok());
    }
    EXPECT_TRUE(pool->in_quarantine(seed % 3));
    EXPECT_TRUE(pool->run_until([&] { return pool->at_rest(); }, seconds(600)));
    auto generated = verified_model().generate(text_of(20), pool->threads(), pool->executor());
    ASSERT_TRUE(generated.ok());
    EXPECT_TRUE(*generated == verified_model().solo(text_of(20)));
    EXPECT_EQ(pool->violations(), std::vector<std::string>{});
    show_log(*pool);
    if (testing::Test::HasFailure()) return;
  }
}

// From the first answer on wrong, while on probation: nothing of it is seen.
TEST(VerifySim, ALiarOnProbationIsFoundBeforeATokenIsShown) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    auto pool = verified_pool(seed, VerifyMode::kSample, 2);
    pool->make_liar(seed % 3, LieKind::kZeros, 1);
    auto generated = verified_model().generate(text_of(10), pool->threads(), pool->executor());
    ASSERT_TRUE(generated.ok());
    EXPECT_TRUE(*generated == verified_model().solo(text_of(10)));
    EXPECT_GT(pool->core().dispatcher().statistics().steps_repeated, 0u);
    show_log(*pool);
  }
}

// It comes back when its time is over and it has started anew; its next lie puts it in for longer.
TEST(VerifySim, AfterItsTimeAndAFreshStartItIsOnProbation) {
  auto pool = verified_pool(3, VerifyMode::kAll, 2);
  pool->make_liar(1, LieKind::kZeros, 1);
  ASSERT_TRUE(verified_model().generate(text_of(5), pool->threads(), pool->executor()).ok());
  ASSERT_TRUE(pool->in_quarantine(1));
  pool->strike({FaultKind::kRestart, 0, 1, milliseconds(50)});
  pool->run_for(seconds(5));
  EXPECT_TRUE(pool->in_quarantine(1)) << "a fresh start alone is not enough";
  pool->run_for(seconds(QuarantineList::kFirstSeconds));
  EXPECT_TRUE(pool->in_quarantine(1)) << "time alone is not enough";
  pool->strike({FaultKind::kRestart, 0, 1, milliseconds(50)});
  EXPECT_TRUE(
      pool->run_until([&] { return !pool->in_quarantine(1) && pool->at_rest(); }, seconds(60)));
  auto generated = verified_model().generate(text_of(5), pool->threads(), pool->executor());
  ASSERT_TRUE(generated.ok());
  EXPECT_TRUE(*generated == verified_model().solo(text_of(5)));
  EXPECT_TRUE(pool->in_quarantine(1));
  show_log(*pool);
}

// One liar and any other faults together, every answer compared.
TEST(VerifySim, LiesAndFaultsTogether) {
  SeedRange seeds = seeds_to_run(kVerifySeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    Scenario scenario = draw_scenario(verified_model(), seed);
    scenario.pool.verify = VerifyMode::kAll;
    scenario.liar = Scenario::LiarSpec{seed % scenario.workers, kLieKinds[seed % 4], 3};
    SCOPED_TRACE(scenario.text());
    ScenarioOutcome outcome = run_scenario(verified_model(), scenario);
    EXPECT_EQ(outcome.failure, "");
    EXPECT_TRUE(outcome.generated == verified_model().solo(scenario.generate));
    if (!testing::Test::HasFailure()) continue;
    for (const std::string& line : outcome.log) ADD_FAILURE() << line;
    return;
  }
}

// Prints how long a worker that flips a bit in 1 of 100 answers goes undetected, for the table in
// docs/PERFORMANCE.md: POTLUCK_MEASURE=1.
TEST(VerifySim, MeasureDetection) {
  if (std::getenv("POTLUCK_MEASURE") == nullptr) GTEST_SKIP() << "POTLUCK_MEASURE is not set";
  SeedRange seeds = seeds_to_run(30);
  constexpr uint32_t kTokens = 400;
  Generated solo = verified_model().solo(text_of(kTokens));
  for (auto [name, mode, replicas] : {std::tuple{"off", VerifyMode::kOff, 2u},
                                      std::tuple{"sample, replica", VerifyMode::kSample, 2u},
                                      std::tuple{"sample, own copy", VerifyMode::kSample, 1u},
                                      std::tuple{"all, replica", VerifyMode::kAll, 2u}}) {
    for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
      auto pool = verified_pool(seed, mode, replicas);
      pool->make_liar(seed % 3, LieKind::kFlipBit, 100);
      auto generated =
          verified_model().generate(text_of(kTokens), pool->threads(), pool->executor());
      ASSERT_TRUE(generated.ok());
      size_t wrong = 0;
      for (size_t i = 0; i < kTokens; ++i) wrong += generated->tokens[i] != solo.tokens[i] ? 1 : 0;
      const DispatchStatistics& counts = pool->core().dispatcher().statistics();
      std::cout << fmt::format(
          "{}; seed {}; lies {}; found {}; wrong tokens {}; messages {}; "
          "comparisons {}; own checks {}; repeated {}\n",
          name, seed, pool->liar(seed % 3).lies(), pool->in_quarantine(seed % 3), wrong,
          counts.messages, counts.comparisons, counts.own_checks, counts.steps_repeated);
    }
  }
}

}  // namespace
}  // namespace potluck::sim
