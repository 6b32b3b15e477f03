// Slow workers in virtual time: they stay members, they keep their work, and the text is the same.
#include <gtest/gtest.h>

#include "tests/sim/sim_scenario.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SimModel& model() {
  static const SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  return model;
}

Scenario slow(size_t workers, Duration call_time) {
  Scenario scenario;
  scenario.workers = workers;
  scenario.pool.worker_call_time = call_time;
  scenario.generate.prompt = model().prompt(24);
  scenario.generate.tokens = 3;
  return scenario;
}

ScenarioOutcome run(const Scenario& scenario) {
  ScenarioOutcome outcome = run_scenario(model(), scenario);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_TRUE(outcome.generated == model().solo(scenario.generate));
  if (testing::Test::HasFailure()) {
    for (const std::string& line : outcome.log) ADD_FAILURE() << line;
  }
  return outcome;
}

// One worker computes a prefill of 24 rows for 6 s a layer: once it was silent for so long, lost,
// and lost again with every message after it had come back.
TEST(SlowWorkerSim, APrefillOfSixSecondsCostsNoMembership) {
  uint64_t calls = 24 * model().model().config().router.top_k;
  ScenarioOutcome outcome = run(slow(1, Duration(seconds(6)) / static_cast<int64_t>(calls)));
  EXPECT_EQ(outcome.workers_lost, 0u);
  EXPECT_EQ(outcome.statistics.retries, 0u);
  EXPECT_EQ(outcome.statistics.local_unit_calls, 0u);
  EXPECT_GT(outcome.virtual_time, seconds(12));
  EXPECT_GT(outcome.statistics.messages, outcome.statistics.batches) << "the prefill was cut";
}

// From a phone to something that no sensible person would use.
TEST(SlowWorkerSim, AnySpeedGivesTheSameText) {
  for (int64_t microseconds : {10, 300, 4'000, 20'000, 100'000, 700'000}) {
    for (size_t workers : {1, 3}) {
      SCOPED_TRACE(testing::Message() << microseconds << " us, " << workers << " workers");
      ScenarioOutcome outcome = run(slow(workers, std::chrono::microseconds(microseconds)));
      EXPECT_EQ(outcome.workers_lost, 0u);
      EXPECT_EQ(outcome.running_workers, workers);
    }
  }
}

TEST(SlowWorkerSim, SlowWorkersAndFaultsTogether) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Scenario scenario = draw_scenario(model(), seed);
    scenario.pool.worker_call_time = milliseconds(1 + seed * seed % 97);
    SCOPED_TRACE(scenario.text());
    run(scenario);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace potluck::sim
