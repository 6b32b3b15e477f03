// Pools under faults, in virtual time: devices die, stall or lie, and the text is the same.
// POTLUCK_SIM_SEED=n runs the seeded scenario n alone; POTLUCK_SIM_RUNS=n runs seeds 1 to n.
#include <gtest/gtest.h>

#include "tests/sim/seed_range.h"
#include "tests/sim/sim_scenario.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kPoolSeeds = 60;

class PoolSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static const SimModel& model() { return *model_; }

  // Runs it and compares with the solo run.
  static ScenarioOutcome run(const Scenario& scenario) {
    SCOPED_TRACE(scenario.text());
    ScenarioOutcome outcome = run_scenario(model(), scenario);
    EXPECT_EQ(outcome.failure, "");
    Generated solo = model().solo(scenario.generate);
    EXPECT_EQ(outcome.generated.tokens, solo.tokens);
    EXPECT_TRUE(outcome.generated == solo) << "the logits differ";
    if (HasFailure()) {
      std::string log;
      for (const std::string& line : outcome.log) log += line + "\n";
      ADD_FAILURE() << "replay with POTLUCK_SIM_SEED=" << scenario.pool.seed << "\n" << log;
    }
    return outcome;
  }

  static Scenario quiet(size_t workers, uint32_t slices) {
    Scenario scenario;
    scenario.pool.slices = slices;
    scenario.workers = workers;
    scenario.generate.prompt = model().prompt(9);
    scenario.generate.tokens = 6;
    return scenario;
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> PoolSim::model_;

// (row, unit) pairs of a run. In the last layer only rows whose logits are wanted are computed.
uint64_t unit_calls(const SimModel& model, const Scenario& scenario) {
  uint64_t rows = scenario.generate.prompt.size() + scenario.generate.tokens;
  uint64_t calls = 0;
  for (const ManifestLayer& layer : model.manifest().layers()) {
    bool last = layer.layer + 1 == model.model().config().layers;
    calls += (last ? 1 + scenario.generate.tokens : rows) * model.model().config().router.top_k *
             std::min(scenario.pool.slices, layer.plan.grains);
  }
  return calls;
}

TEST_F(PoolSim, WithoutFaultsTheWorkersDoAllTheWork) {
  for (size_t workers : {1, 2, 4}) {
    for (uint32_t slices : {1u, 2u, 4u}) {
      Scenario scenario = quiet(workers, slices);
      ScenarioOutcome outcome = run(scenario);
      EXPECT_EQ(outcome.workers_lost, 0u);
      EXPECT_EQ(outcome.statistics.local_unit_calls, 0u);
      EXPECT_EQ(outcome.statistics.remote_unit_calls, unit_calls(model(), scenario));
      EXPECT_EQ(outcome.statistics.retries, 0u);
      EXPECT_EQ(outcome.statistics.bad_replies, 0u);
      EXPECT_EQ(outcome.statistics.late_replies, 0u);
    }
  }
}

TEST_F(PoolSim, ADeathAtAnyMessageDoesNotShow) {
  for (FaultKind kind : {FaultKind::kKill, FaultKind::kVanish}) {
    for (uint64_t at = 1; at <= 18; ++at) {
      Scenario scenario = quiet(3, 2);
      scenario.faults = {{kind, at, at % 3, {}}};
      ScenarioOutcome outcome = run(scenario);
      EXPECT_EQ(outcome.workers_lost, 1u);
      EXPECT_EQ(outcome.running_workers, 2u);
      EXPECT_GT(outcome.statistics.remote_unit_calls, 0u);
      EXPECT_EQ(outcome.statistics.remote_unit_calls + outcome.statistics.local_unit_calls,
                unit_calls(model(), scenario));
    }
  }
}

TEST_F(PoolSim, ThreeOfFourDieAtOnce) {
  for (uint64_t at : {1u, 7u, 20u}) {
    Scenario scenario = quiet(4, 2);
    scenario.faults = {{FaultKind::kKill, at, 0, {}},
                       {FaultKind::kKill, at, 2, {}},
                       {FaultKind::kKill, at, 3, {}}};
    ScenarioOutcome outcome = run(scenario);
    EXPECT_EQ(outcome.workers_lost, 3u);
    EXPECT_EQ(outcome.running_workers, 1u);
  }
}

TEST_F(PoolSim, AllDieAndTheCoordinatorGoesOn) {
  Scenario scenario = quiet(3, 4);
  for (size_t i = 0; i < 3; ++i) scenario.faults.push_back({FaultKind::kVanish, 10, i, {}});
  ScenarioOutcome outcome = run(scenario);
  EXPECT_EQ(outcome.running_workers, 0u);
  EXPECT_GT(outcome.statistics.local_unit_calls, 0u);
}

// kill -9 is noticed by probing, long before the deadline of the call.
TEST_F(PoolSim, AKilledWorkerIsNoticedFast) {
  Scenario scenario = quiet(2, 1);
  Duration undisturbed = run(scenario).virtual_time;
  scenario.faults = {{FaultKind::kKill, 5, 0, {}}};
  EXPECT_LT(run(scenario).virtual_time, undisturbed + std::chrono::milliseconds(500));
}

TEST_F(PoolSim, AWorkerThatStartsAgainIsUsedAgain) {
  Scenario scenario = quiet(2, 2);
  scenario.faults = {{FaultKind::kRestart, 4, 1, std::chrono::milliseconds(5)}};
  scenario.generate.tokens = 40;
  ScenarioOutcome outcome = run(scenario);
  EXPECT_EQ(outcome.running_workers, 2u);
}

TEST_F(PoolSim, AFrozenWorkerIsGivenUpAndComesBack) {
  for (int64_t pause : {100, 1500, 3000, 5000, 20'000}) {
    Scenario scenario = quiet(3, 2);
    scenario.faults = {{FaultKind::kFreeze, 6, 1, std::chrono::milliseconds(pause)}};
    EXPECT_EQ(run(scenario).running_workers, 3u);
  }
}

// Where a header is hit first, the answer is lost instead, and the worker rests: hence several
// seeds.
TEST_F(PoolSim, CorruptAnswersAreNoticed) {
  uint64_t bad_replies = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Scenario scenario = quiet(2, 2);
    scenario.pool.seed = seed;
    scenario.generate.tokens = 20;
    scenario.faults = {{FaultKind::kCorrupt, 3, 0, std::chrono::seconds(60)}};
    DispatchStatistics counts = run(scenario).statistics;
    EXPECT_GT(counts.bad_replies + counts.retries, 0u);
    bad_replies += counts.bad_replies;
  }
  EXPECT_GT(bad_replies, 0u);
}

TEST_F(PoolSim, AnAlteredDiskIsNoticed) {
  Scenario scenario = quiet(2, 1);
  scenario.pool.worker_ram_bytes = 64 * kKiB;  // grains are read again and again
  for (size_t i = 0; i < 2; ++i) scenario.faults.push_back({FaultKind::kFlipBit, 6, i, {}});
  scenario.generate.tokens = 30;
  ScenarioOutcome outcome = run(scenario);
  EXPECT_EQ(outcome.running_workers, 2u);
}

TEST_F(PoolSim, SeededFaults) {
  SeedRange seeds = seeds_to_run(kPoolSeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    run(draw_scenario(model(), seed));
    if (HasFailure()) return;
  }
}

// A peer denied one grain, and what it had been asked for besides was never asked for again.
TEST_F(PoolSim, SeedsThatOnceFailed) {
  for (uint64_t seed : {2031u}) run(draw_scenario(model(), seed));
}

TEST_F(PoolSim, TheSameSeedTakesTheSameCourse) {
  for (uint64_t seed : {3u, 8u}) {
    Scenario scenario = draw_scenario(model(), seed);
    ScenarioOutcome first = run(scenario);
    ScenarioOutcome second = run(scenario);
    EXPECT_EQ(first.log, second.log);
    EXPECT_EQ(first.virtual_time, second.virtual_time);
    EXPECT_EQ(first.statistics.messages, second.statistics.messages);
  }
}

}  // namespace
}  // namespace potluck::sim
