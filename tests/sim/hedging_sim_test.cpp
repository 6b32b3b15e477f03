// Units that several workers hold, in virtual time: what is silent or late is answered by another
// one, soon and within a budget, and the text is the same.
#include <algorithm>

#include <gtest/gtest.h>

#include "coordinator/dispatch/worker_track.h"
#include "tests/sim/sim_scenario.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SimModel& hedging_model() {
  static const SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  return model;
}

struct ReplicatedPool {
  explicit ReplicatedPool(uint64_t seed, size_t workers = 3, VerifyMode verify = VerifyMode::kOff) {
    SimPoolOptions options;
    options.seed = seed;
    options.slices = 2;
    options.replicas = 2;
    options.verify = verify;
    options.worker_call_time = std::chrono::microseconds(300);
    pool = std::make_unique<SimPool>(hedging_model(), options);
    for (size_t i = 0; i < workers; ++i) pool->add_worker();
    EXPECT_TRUE(pool->run_until([&] { return pool->at_rest(); }, seconds(600)));
  }
  Duration generate(uint32_t tokens) {
    GenerateOptions options;
    options.prompt = hedging_model().prompt(7);
    options.tokens = tokens;
    TimePoint start = pool->clock().now();
    auto generated = hedging_model().generate(options, pool->threads(), pool->executor());
    EXPECT_TRUE(generated.ok());
    EXPECT_TRUE(*generated == hedging_model().solo(options));
    EXPECT_EQ(pool->violations(), std::vector<std::string>{});
    return pool->clock().now() - start;
  }
  void show_log() const {
    if (!testing::Test::HasFailure()) return;
    for (const std::string& line : pool->log()) ADD_FAILURE() << line;
  }
  const DispatchStatistics& counts() { return pool->core().dispatcher().statistics(); }

  std::unique_ptr<SimPool> pool;
};

// A worker stops in the middle of its work (kill -STOP), and stays a member for seconds. What it
// had is asked of others soon; rarely the times seen before were too few or too varied to call it
// late.
TEST(HedgingSim, ASilentWorkerCostsATenthOfASecond) {
  std::vector<Duration> lost;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ReplicatedPool p(seed);
    Duration undisturbed = p.generate(60);
    p.pool->add_fault({FaultKind::kFreeze, p.counts().messages + 20, seed % 3, seconds(3)});
    lost.push_back(p.generate(60) - undisturbed);
    EXPECT_LT(lost.back(), kDeadlineFloor);
    EXPECT_EQ(p.counts().local_unit_calls, 0u);
    EXPECT_GT(p.counts().retries + p.counts().hedges, 0u);
    p.show_log();
  }
  std::sort(lost.begin(), lost.end());
  EXPECT_LT(lost[lost.size() / 2], milliseconds(150));
}

// Its connection closes, and nothing is known of its speed.
TEST(HedgingSim, AClosedConnectionCostsATenthOfASecond) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Duration undisturbed = ReplicatedPool(seed).generate(2);
    ReplicatedPool p(seed);
    p.pool->add_fault({FaultKind::kKill, p.counts().messages + 3, seed % 3, {}});
    EXPECT_LT(p.generate(2), undisturbed + milliseconds(150));
    EXPECT_EQ(p.counts().local_unit_calls, 0u);
  }
}

TEST(HedgingSim, HedgesStayWithinTheirBudgetAndHelp) {
  uint64_t hedges = 0;
  uint64_t won = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ReplicatedPool p(seed);
    p.generate(150);
    EXPECT_LE(p.counts().hedges, 8 + p.counts().messages / 20);
    hedges += p.counts().hedges;
    won += p.counts().hedges_won;
  }
  EXPECT_GT(hedges, 0u);
  EXPECT_GT(won, 0u);
}

}  // namespace
}  // namespace potluck::sim
