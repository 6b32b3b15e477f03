// Workers of unequal speed, replicas and moving units in virtual time: shares follow what devices
// can do, nobody waits for a unit that moves, and the text is the same.
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "coordinator/plan/plan_model.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

const SimModel& unequal_model() {
  static const SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  return model;
}

constexpr uint32_t kSlices = 4;
// A unit takes a worker of speed 1 so long.
constexpr Duration kUnitTime = microseconds(800);

// As a worker of that speed would measure it.
DeviceSpeed speed(double factor) {
  uint32_t top_k = unequal_model().model().config().router.top_k;
  const PlanLayer layer = plan_model(unequal_model().manifest(), top_k).layers.front();
  double unit = layer.expert_bytes() / std::min(kSlices, layer.grains);
  auto rate = static_cast<uint64_t>(unit / in_seconds(kUnitTime) * factor);
  return {0, 4, 1'000'000'000, {{TensorType::kQ4_K, rate, rate}}};
}

SimPoolOptions pool_of(const std::vector<double>& factors, bool told) {
  SimPoolOptions options;
  options.slices = kSlices;
  for (double factor : factors) {
    options.call_times.push_back(
        Duration(static_cast<Duration::rep>(static_cast<double>(kUnitTime.count()) / factor)));
    if (told) options.speeds.push_back(speed(factor));
  }
  return options;
}

class UnequalSim : public testing::Test {
 protected:
  void begin(const SimPoolOptions& options, size_t workers) {
    pool_ = std::make_unique<SimPool>(unequal_model(), options);
    for (size_t i = 0; i < workers; ++i) pool_->add_worker();
    come_to_rest();
    // Placement looks at facts a second after they came, and units move then.
    pool_->run_for(seconds(5));
    come_to_rest();
  }
  void come_to_rest() {
    ASSERT_TRUE(pool_->run_until([&] { return pool_->at_rest(); }, seconds(120))) << log();
  }
  std::string log() const {
    std::string text;
    for (const std::string& line : pool_->log()) text += line + "\n";
    return text;
  }
  const WorkerRecord& record(size_t worker) const {
    return *pool_->core().cluster().worker(pool_->worker(worker).key());
  }
  size_t units(size_t worker) const { return record(worker).assigned.size(); }

  // Virtual seconds for so many tokens.
  double seconds_for(uint32_t tokens) {
    GenerateOptions options;
    options.prompt = unequal_model().prompt(1);
    options.tokens = tokens;
    TimePoint start = pool_->clock().now();
    auto generated = unequal_model().generate(options, pool_->threads(), pool_->executor());
    EXPECT_TRUE(generated.ok());
    EXPECT_TRUE(*generated == unequal_model().solo(options));
    EXPECT_TRUE(pool_->violations().empty());
    return in_seconds(pool_->clock().now() - start);
  }

  std::unique_ptr<SimPool> pool_;
};

TEST_F(UnequalSim, LikeWorkersAreAsThoseThatSayNothing) {
  begin(pool_of({1, 1, 1}, true), 3);
  std::vector<std::set<UnitId>> told;
  for (size_t i = 0; i < 3; ++i) told.push_back(record(i).assigned);
  begin(pool_of({1, 1, 1}, false), 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(record(i).assigned, told[i]);
}

TEST_F(UnequalSim, SharesFollowTheSpeed) {
  begin(pool_of({1, 2, 4}, true), 3);
  EXPECT_GT(units(1), units(0));
  EXPECT_GT(units(2), 1.5 * static_cast<double>(units(1)));
  double told = seconds_for(16);
  begin(pool_of({1, 2, 4}, false), 3);
  double equal = seconds_for(16);
  EXPECT_LT(told, 0.75 * equal);
}

// By their keys workers get one unit or another, and some layers are then less even than others:
// hence several seeds.
TEST_F(UnequalSim, ASlowWorkerCostsNothing) {
  double without = 0;
  double with = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SimPoolOptions options = pool_of({1, 1, 1}, true);
    options.seed = seed;
    begin(options, 3);
    double alone = seconds_for(16);
    options = pool_of({1, 1, 1, 0.05}, true);
    options.seed = seed;
    begin(options, 4);
    double beside = seconds_for(16);
    without += alone;
    with += beside;
    EXPECT_LE(units(3), (units(0) + units(1) + units(2)) / 60);
  }
  EXPECT_LE(with * 0.95, without);
}

// It says that it is ten times as fast as it is. What it does is seen in its answers.
TEST_F(UnequalSim, ABoastIsCorrected) {
  SimPoolOptions options = pool_of({1, 1, 0.2}, true);
  options.speeds[2] = speed(10);
  begin(options, 3);
  size_t believed = units(2);
  EXPECT_GT(believed, units(0));
  for (int i = 0; i < 6; ++i) {
    seconds_for(24);
    pool_->run_for(seconds(31));
    come_to_rest();
  }
  EXPECT_LT(units(2), believed / 2) << log();
  EXPECT_LT(units(2), units(0));
}

// Experts move to a newcomer while a text is generated: none of them is without a holder meanwhile.
TEST_F(UnequalSim, AUnitIsNeverWithoutAHolderWhileItMoves) {
  SimPoolOptions options;
  options.slices = 2;
  begin(options, 2);
  uint64_t all = pool_->core().cluster().units_ready();
  pool_->add_worker();
  GenerateOptions generate;
  generate.prompt = unequal_model().prompt(7);
  generate.tokens = 8;
  bool whole = pool_->run_until(
      [&] {
        const ClusterState& cluster = pool_->core().cluster();
        for (const ManifestLayer& layer : unequal_model().manifest().layers()) {
          for (uint16_t expert = 0; expert < layer.experts; ++expert) {
            for (uint16_t slice = 0; slice < 2; ++slice) {
              UnitId unit{static_cast<uint16_t>(layer.layer), expert, slice};
              if (cluster.holders(unit).empty()) return true;  // what must not be
            }
          }
        }
        return false;
      },
      seconds(20));
  EXPECT_FALSE(whole) << "a unit has no holder";
  come_to_rest();
  EXPECT_EQ(pool_->core().cluster().units_ready(), all);
  EXPECT_GT(units(2), 0u);
  EXPECT_EQ(pool_->core().dispatcher().statistics().local_unit_calls, 0u);
}

// Some experts are computed by the coordinator, the others by workers: the text is the same.
TEST_F(UnequalSim, TheCoordinatorHasAShare) {
  SimPoolOptions options;
  options.slices = 2;
  options.own_bytes = unequal_model().manifest().total_bytes();
  begin(options, 2);
  const ClusterState& cluster = pool_->core().cluster();
  ASSERT_FALSE(cluster.own_experts().empty());
  seconds_for(8);
  const DispatchStatistics& counts = pool_->core().dispatcher().statistics();
  EXPECT_GT(counts.local_unit_calls, 0u);
  EXPECT_GT(counts.remote_unit_calls, counts.local_unit_calls);
}

TEST_F(UnequalSim, WithReplicasALossMovesNoWorkToTheCoordinator) {
  SimPoolOptions options;
  options.slices = 2;
  options.replicas = 2;
  begin(options, 3);
  EXPECT_EQ(units(0), units(1));
  seconds_for(4);
  pool_->strike({FaultKind::kKill, 0, 1, {}, 0});
  seconds_for(8);
  EXPECT_EQ(pool_->core().dispatcher().statistics().local_unit_calls, 0u);
  come_to_rest();
}

}  // namespace
}  // namespace potluck::sim
