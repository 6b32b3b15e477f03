// A model that is spread over the workers while they and the coordinator fail, in virtual time: it
// ends complete, nothing is read twice that two workers have, and the text is the solo run's.
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

constexpr Duration kPatience = std::chrono::minutes(20);

class SpreadSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static SimPoolOptions spreading(uint64_t seed) {
    SimPoolOptions options;
    options.seed = seed;
    options.slices = 2;
    options.replicas = 2;
    // Two experts at a time.
    options.spread_window =
        2 * model_->model().cutter().expert_bytes(model_->manifest().layers().front().layer);
    return options;
  }
  static GenerateOptions request() { return {model_->prompt(9), 6, 512}; }

  static uint64_t experts() {
    uint64_t count = 0;
    for (const ManifestLayer& layer : model_->manifest().layers()) count += layer.experts;
    return count;
  }
  // Until so many experts are with the workers, or in memory.
  static bool until_known(SimPool& pool, uint64_t known) {
    return pool.run_until(
        [&] { return pool.spread() && pool.spread()->spreader().book().counts().known >= known; },
        kPatience);
  }
  static bool until_complete(SimPool& pool) {
    return pool.run_until(
        [&] { return pool.spread() && pool.spread()->spreader().is_complete() && pool.at_rest(); },
        kPatience);
  }
  static void expect_same_text(SimPool& pool) {
    auto generated = model_->generate(request(), pool.threads(), pool.executor());
    ASSERT_TRUE(generated) << generated.error().message;
    EXPECT_TRUE(*generated == model_->solo(request()));
    EXPECT_EQ(pool.core().dispatcher().statistics().local_unit_calls, 0u);
  }
  static void expect_no_violations(const SimPool& pool) {
    EXPECT_EQ(pool.violations(), std::vector<std::string>());
    if (!HasFailure()) return;
    std::string log;
    for (const std::string& line : pool.log()) log += line + "\n";
    ADD_FAILURE() << log;
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> SpreadSim::model_;

TEST_F(SpreadSim, EveryExpertIsReadOnceAndEndsWithTwoWorkers) {
  for (uint64_t seed : {1, 2, 3}) {
    SimPool pool(*model_, spreading(seed));
    for (int i = 0; i < 3; ++i) pool.add_worker();
    ASSERT_TRUE(until_complete(pool)) << seed;
    EXPECT_EQ(pool.source().reads().size(), experts());
    for (const auto& [name, reads] : pool.source().reads()) EXPECT_EQ(reads, 1u);
    pool.source().set_reachable(false);
    expect_same_text(pool);
    pool.strike({FaultKind::kKill, 0, 1, {}});
    expect_same_text(pool);
    expect_no_violations(pool);
  }
}

TEST_F(SpreadSim, AWorkerLostInTheMiddleAndTheCoordinatorRestarted) {
  for (uint64_t seed : {4, 5, 6, 7}) {
    SCOPED_TRACE(seed);
    SimPool pool(*model_, spreading(seed));
    for (int i = 0; i < 3; ++i) pool.add_worker();
    ASSERT_TRUE(until_known(pool, experts() / 4));
    pool.strike({FaultKind::kVanish, 0, seed % 3, {}});
    ASSERT_TRUE(until_known(pool, experts() / 2));
    pool.stop_coordinator(false);
    pool.run_for(std::chrono::seconds(2));
    pool.start_coordinator();
    ASSERT_TRUE(until_complete(pool));
    // What was in memory when the coordinator ended is read again at most, if one worker or none
    // had it: a window.
    uint64_t twice = 0;
    for (const auto& [name, reads] : pool.source().reads()) {
      EXPECT_LE(reads, 2u);
      twice += reads - 1;
    }
    EXPECT_LE(twice, 4u);
    pool.source().set_reachable(false);
    expect_same_text(pool);
    expect_no_violations(pool);
  }
}

TEST_F(SpreadSim, ASourceThatComesAndGoesOnlyTakesLonger) {
  SimPool pool(*model_, spreading(8));
  for (int i = 0; i < 2; ++i) pool.add_worker();
  for (uint64_t part = 1; part < 4; ++part) {
    ASSERT_TRUE(until_known(pool, experts() * part / 4));
    pool.source().set_reachable(false);
    pool.run_for(std::chrono::minutes(1));
    pool.source().set_reachable(true);
  }
  ASSERT_TRUE(until_complete(pool));
  for (const auto& [name, reads] : pool.source().reads()) EXPECT_EQ(reads, 1u);
  expect_same_text(pool);
  expect_no_violations(pool);
}

TEST_F(SpreadSim, WhatBothHoldersLoseIsReadAgain) {
  SimPool pool(*model_, spreading(9));
  for (int i = 0; i < 2; ++i) pool.add_worker();
  ASSERT_TRUE(until_complete(pool));
  pool.strike({FaultKind::kKill, 0, 0, {}});
  pool.strike({FaultKind::kKill, 0, 1, {}});
  for (int i = 0; i < 2; ++i) pool.add_worker();
  ASSERT_TRUE(until_complete(pool));
  expect_same_text(pool);
  expect_no_violations(pool);
}

TEST_F(SpreadSim, WithoutTheSourceAStepWaitsForTheDeviceThatHasTheExperts) {
  SimPoolOptions options = spreading(10);
  options.replicas = 1;
  SimPool pool(*model_, options);
  for (int i = 0; i < 2; ++i) pool.add_worker();
  ASSERT_TRUE(until_complete(pool));
  pool.source().set_reachable(false);
  // A coordinator that has just started has no grain in memory that it gave away before.
  pool.stop_coordinator(false);
  pool.start_coordinator();
  ASSERT_TRUE(until_complete(pool));
  // Started again with its disk while the step waits for it.
  pool.add_fault({FaultKind::kRestart, 3, 0, std::chrono::seconds(30)});
  const TimePoint before = pool.clock().now();
  expect_same_text(pool);
  EXPECT_GE(pool.clock().now() - before, std::chrono::seconds(30));
  expect_no_violations(pool);
}

}  // namespace
}  // namespace potluck::sim
