// The loops of coordinator and workers, in virtual time: a device that was away for any time comes
// back; no timer is forgotten, and none is due for ever. POTLUCK_SIM_SEED=n runs the seeded
// scenario n alone; POTLUCK_SIM_RUNS=n runs seeds 1 to n.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/sim/seed_range.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kLoopLimit = std::chrono::minutes(2);
constexpr Duration kBack = seconds(5);
constexpr int64_t kAwaySeconds[] = {3, 8, 20, 60, 300};
constexpr uint64_t kLoopSeeds = 15;

class LoopSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static std::unique_ptr<SimPool> pool_of(size_t workers, uint64_t seed) {
    SimPoolOptions options;
    options.seed = seed;
    auto pool = std::make_unique<SimPool>(*model_, options);
    for (size_t i = 0; i < workers; ++i) pool->add_worker();
    expect_rest(*pool);
    return pool;
  }
  static bool all_are_members(SimPool& pool) {
    for (size_t i = 0; i < pool.workers(); ++i) {
      if (pool.core().cluster().worker(pool.worker(i).key()) == nullptr) return false;
      if (pool.worker(i).status().phase != "member") return false;
    }
    return true;
  }
  // Everything that ran is in the pool again soon, and the pool is whole.
  static void expect_back(SimPool& pool) {
    EXPECT_TRUE(pool.run_until([&] { return all_are_members(pool); }, kBack)) << text(pool);
    expect_rest(pool);
  }
  static void expect_rest(SimPool& pool) {
    EXPECT_TRUE(pool.run_until([&] { return pool.at_rest(); }, kLoopLimit)) << text(pool);
    for (const std::string& violation : pool.violations()) ADD_FAILURE() << violation;
  }
  static void generate(SimPool& pool, uint32_t tokens) {
    GenerateOptions options;
    options.prompt = model_->prompt(7);
    options.tokens = tokens;
    auto generated = model_->generate(options, pool.threads(), pool.executor());
    ASSERT_TRUE(generated.ok()) << generated.error().message;
    EXPECT_TRUE(*generated == model_->solo(options));
  }
  static std::string text(const SimPool& pool) {
    std::string text;
    for (const std::string& line : pool.log()) text += line + "\n";
    return text;
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> LoopSim::model_;

TEST_F(LoopSim, ACoordinatorThatStartsAgainHasItsWorkersBack) {
  uint64_t seed = 0;
  for (int64_t away : kAwaySeconds) {
    for (int64_t idle : {0, 1, 60}) {
      for (bool quietly : {false, true}) {
        SCOPED_TRACE(fmt::format("away {} s after {} s, quietly: {}", away, idle, quietly));
        auto pool = pool_of(3, ++seed);
        pool->run_for(seconds(idle));
        if (idle % 2 == 1) generate(*pool, 2);
        pool->stop_coordinator(quietly);
        pool->run_for(seconds(away));
        pool->start_coordinator();
        expect_back(*pool);
        generate(*pool, 2);
        if (HasFailure()) return;
      }
    }
  }
}

// Its ports were another program's when it started the last time, or are now.
TEST_F(LoopSim, ACoordinatorWithOtherPortsHasItsWorkersBack) {
  for (int64_t away : kAwaySeconds) {
    for (bool quietly : {false, true}) {
      SCOPED_TRACE(fmt::format("away {} s, quietly: {}", away, quietly));
      auto pool = pool_of(3, static_cast<uint64_t>(away));
      pool->run_for(seconds(10));
      for (int i = 0; i < 2; ++i) {
        pool->stop_coordinator(quietly);
        pool->run_for(seconds(away));
        pool->move_coordinator();
        pool->start_coordinator();
        expect_back(*pool);
      }
      generate(*pool, 2);
      if (HasFailure()) return;
    }
  }
}

// A worker's machine starts while the coordinator's is off: it waits for as long as it takes.
TEST_F(LoopSim, AWorkerThatStartsBeforeItsCoordinatorWaits) {
  for (int64_t away : kAwaySeconds) {
    for (bool moves : {false, true}) {
      SCOPED_TRACE(fmt::format("away {} s, moves: {}", away, moves));
      auto pool = pool_of(3, static_cast<uint64_t>(away));
      pool->stop_coordinator(false);
      if (moves) pool->move_coordinator();
      pool->strike({FaultKind::kRestart, 0, 1, seconds(1)});
      pool->run_for(seconds(away));
      pool->start_coordinator();
      expect_back(*pool);
      generate(*pool, 2);
      if (HasFailure()) return;
    }
  }
}

TEST_F(LoopSim, AFrozenCoordinatorHasItsWorkersBack) {
  for (int64_t away : kAwaySeconds) {
    SCOPED_TRACE(away);
    auto pool = pool_of(3, static_cast<uint64_t>(away));
    pool->run_for(seconds(10));
    pool->freeze_coordinator(seconds(away));
    expect_back(*pool);
    generate(*pool, 2);
  }
}

TEST_F(LoopSim, AFrozenWorkerIsBack) {
  for (int64_t away : kAwaySeconds) {
    for (int64_t idle : {0, 15}) {
      SCOPED_TRACE(fmt::format("away {} s after {} s", away, idle));
      auto pool = pool_of(3, static_cast<uint64_t>(away + idle));
      pool->run_for(seconds(idle));
      pool->strike({FaultKind::kFreeze, 0, 1, seconds(away)});
      pool->run_for(seconds(away));
      expect_back(*pool);
      generate(*pool, 2);
    }
  }
}

TEST_F(LoopSim, DevicesThatWereAllSuspendedGoOn) {
  for (int64_t away : kAwaySeconds) {
    SCOPED_TRACE(away);
    auto pool = pool_of(3, static_cast<uint64_t>(away));
    pool->jump(seconds(away));
    expect_back(*pool);
    generate(*pool, 2);
    // No worker was given up for a silence that it could not break.
    EXPECT_EQ(pool->core().cluster().workers_lost(), 0u) << text(*pool);
  }
}

TEST_F(LoopSim, ANewcomerThatIsSuspendedWhileItJoinsGoesOnJoining) {
  for (int64_t away : kAwaySeconds) {
    for (int64_t at : {0, 1, 20}) {
      SCOPED_TRACE(fmt::format("away {} s after {} ms", away, at));
      auto pool = pool_of(2, static_cast<uint64_t>(away + at));
      pool->add_worker();
      pool->run_for(milliseconds(at));
      pool->jump(seconds(away));
      expect_back(*pool);
    }
  }
}

// Any sequence of what may happen to processes and machines.
class Events {
 public:
  Events(SimPool& pool, uint64_t seed) : pool_(pool), random_(seed) {}

  void next() {
    Duration time = draw_time();
    size_t worker = pick(pool_.workers());
    switch (pick(9)) {
      case 0:
        pool_.jump(time);
        break;
      case 1:
        pool_.strike({FaultKind::kFreeze, 0, worker, time});
        break;
      case 2:
        pool_.freeze_coordinator(time);
        break;
      case 3:
        pool_.stop_coordinator(pick(2) == 0);
        pool_.run_for(time);
        pool_.start_coordinator();
        break;
      case 4:
        pool_.strike({FaultKind::kRestart, 0, worker, time});
        break;
      case 5:
        pool_.strike({FaultKind::kFlipBit, 0, worker, {}});
        break;
      case 6:
        if (pool_.workers() < 5) pool_.add_worker();
        break;
      default:
        break;
    }
    pool_.run_for(draw_time());
  }

 private:
  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }
  // Mostly short, now and then minutes; often exactly what the timers are made of.
  Duration draw_time() {
    constexpr int64_t kMilliseconds[] = {0,    1,    50,   100,  500,    999,   1000,
                                         1001, 2000, 4000, 5000, 10'000, 30'000};
    if (pick(2) == 0) return milliseconds(pick(3000));
    Duration time = milliseconds(kMilliseconds[pick(std::size(kMilliseconds))]);
    return pick(3) == 0 ? time + Duration(1) : time;
  }

  SimPool& pool_;
  CounterRandom random_;
  uint64_t position_ = 0;
};

TEST_F(LoopSim, SeededAbsencesForgetNoTimer) {
  const SeedRange seeds = seeds_to_run(kLoopSeeds);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    SCOPED_TRACE(fmt::format("replay with POTLUCK_SIM_SEED={}", seed));
    auto pool = pool_of(2 + seed % 3, seed);
    Events events(*pool, seed);
    for (int i = 0; i < 15; ++i) events.next();
    // A process that gave up because its coordinator was away when it first came is started again.
    for (size_t i = 0; i < pool->workers(); ++i) {
      if (pool->worker(i).ended()) pool->strike({FaultKind::kRestart, 0, i, {}});
    }
    pool->end_faults();
    expect_rest(*pool);
    generate(*pool, 3);
    if (HasFailure()) FAIL() << text(*pool);
  }
}

}  // namespace
}  // namespace potluck::sim
