// Devices that come without an invitation and workers that leave, through the real loops.
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class JoiningSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static std::unique_ptr<SimPool> pool_of(size_t workers) {
    SimPoolOptions options;
    options.seed = 5;
    options.slices = 2;
    auto pool = std::make_unique<SimPool>(*model_, options);
    for (size_t i = 0; i < workers; ++i) pool->add_worker();
    EXPECT_TRUE(pool->run_until([&] { return pool->at_rest(); }, minutes(1)));
    return pool;
  }
  static GenerateOptions task() {
    GenerateOptions options;
    options.prompt = {3, 1, 4, 1, 5};
    options.tokens = 6;
    return options;
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> JoiningSim::model_;

// Through nothing but turns of the two loops, under the virtual clock.
TEST_F(JoiningSim, AStrangerWaitsAndIsAdmitted) {
  auto pool = pool_of(1);
  pool->add_stranger();
  auto waits = [&] { return pool->core().waiting_devices().size() == 1; };
  ASSERT_TRUE(pool->run_until(waits, seconds(5)));
  pool->run_for(seconds(1));  // the device hears that it waits
  const WaitingDevice device = pool->core().waiting_devices().front();
  EXPECT_EQ(device.key, pool->worker(1).key());
  std::string told;
  for (const std::string& notice : pool->worker(1).notices()) told += notice + "\n";
  EXPECT_NE(told.find("the code is " + device.code), std::string::npos) << told;
  // For minutes nothing happens but that it says that it is there.
  pool->run_for(minutes(4));
  ASSERT_TRUE(waits());
  EXPECT_FALSE(pool->core().admit_waiting("0000-0000").ok());
  ASSERT_TRUE(pool->core().admit_waiting(device.code).ok());
  auto both = [&] { return pool->core().cluster().workers().size() == 2 && pool->at_rest(); };
  EXPECT_TRUE(pool->run_until(both, minutes(1)));
  EXPECT_TRUE(pool->core().waiting_devices().empty());
  EXPECT_EQ(pool->violations(), std::vector<std::string>{});
}

TEST_F(JoiningSim, AStrangerThatNobodyAdmitsGivesUp) {
  auto pool = pool_of(1);
  pool->add_stranger();
  EXPECT_TRUE(pool->run_until([&] { return pool->worker(1).ended(); }, minutes(6)));
  EXPECT_TRUE(pool->core().waiting_devices().empty());
  EXPECT_EQ(pool->violations(), std::vector<std::string>{});
}

TEST_F(JoiningSim, AStrangerThatIsTurnedAwayEnds) {
  auto pool = pool_of(1);
  pool->add_stranger();
  auto waits = [&] { return pool->core().waiting_devices().size() == 1; };
  ASSERT_TRUE(pool->run_until(waits, seconds(5)));
  EXPECT_FALSE(pool->core().refuse_waiting("0000-0000").ok());
  ASSERT_TRUE(pool->core().refuse_waiting(pool->core().waiting_devices().front().code).ok());
  EXPECT_TRUE(pool->run_until([&] { return pool->worker(1).ended(); }, seconds(10)));
  EXPECT_TRUE(pool->core().waiting_devices().empty());
  EXPECT_EQ(pool->core().cluster().workers().size(), 1U);
  EXPECT_EQ(pool->violations(), std::vector<std::string>{});
}

TEST_F(JoiningSim, AStrangerThatDiesIsForgotten) {
  auto pool = pool_of(1);
  pool->add_stranger();
  ASSERT_TRUE(pool->run_until([&] { return !pool->core().waiting_devices().empty(); }, seconds(5)));
  pool->worker(1).kill(true);
  EXPECT_TRUE(pool->run_until([&] { return pool->core().waiting_devices().empty(); },
                              kPairingSilence + seconds(2)));
}

TEST_F(JoiningSim, AWorkerThatLeavesHandsOverAndTheTextStaysTheSame) {
  auto pool = pool_of(3);
  const auto expected = model_->solo(task());
  pool->worker(0).leave_gently();
  auto generated = model_->generate(task(), pool->threads(), pool->executor());
  ASSERT_TRUE(generated.ok()) << generated.error().message;
  EXPECT_EQ(*generated, expected);
  EXPECT_TRUE(pool->run_until([&] { return pool->worker(0).ended(); }, seconds(20)));
  EXPECT_EQ(pool->core().cluster().workers().size(), 2u);
  // Nothing has to be fetched or computed anew: the others had it all before it went.
  EXPECT_EQ(pool->core().cluster().units_ready(), pool->core().cluster().units_assigned());
  EXPECT_EQ(pool->core().dispatcher().statistics().local_unit_calls, 0u);
  generated = model_->generate(task(), pool->threads(), pool->executor());
  ASSERT_TRUE(generated.ok());
  EXPECT_EQ(*generated, expected);
  EXPECT_EQ(pool->core().dispatcher().statistics().local_unit_calls, 0u);
  EXPECT_EQ(pool->violations(), std::vector<std::string>{});
}

TEST_F(JoiningSim, TheLastWorkerLeavesAtOnce) {
  auto pool = pool_of(1);
  pool->worker(0).leave_gently();
  EXPECT_TRUE(pool->run_until([&] { return pool->worker(0).ended(); }, seconds(3)));
  EXPECT_TRUE(pool->core().cluster().workers().empty());
}

TEST_F(JoiningSim, AWorkerDoesNotWaitForACoordinatorThatIsGone) {
  auto pool = pool_of(2);
  pool->stop_coordinator(true);
  pool->worker(0).leave_gently();
  EXPECT_TRUE(pool->run_until([&] { return pool->worker(0).ended(); }, seconds(6)));
}

}  // namespace
}  // namespace potluck::sim
