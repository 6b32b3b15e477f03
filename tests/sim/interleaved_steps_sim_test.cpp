// Steps of two sessions in flight at once over one pool, in virtual time: with and without faults,
// both get the bits that they get one after the other, and alone.
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/support/stepping_session.h"
#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::SteppingSession;

struct Bits {
  std::vector<TokenId> tokens;
  std::vector<float> logits;

  bool operator==(const Bits& other) const = default;
};

struct TwoSessions {
  Bits first;
  Bits second;
  size_t waits_together = 0;

  bool same_bits(const TwoSessions& other) const {
    return first == other.first && second == other.second;
  }
};

class InterleavedSteps : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = std::make_unique<SimModel>(test::data_path("arch/qwen3moe/model.gguf"));
  }
  static void TearDownTestSuite() { model_.reset(); }

  static TwoSessions run(ThreadPool& threads, ExpertExecutor& executor, bool together) {
    std::vector<TokenId> prompt = model_->prompt(14);
    SteppingSession first(model_->model(), model_->kernels(), threads, prompt, 8, 5);
    SteppingSession second(model_->model(), model_->kernels(), threads,
                           {prompt.rbegin(), prompt.rbegin() + 4}, 12, 512);
    SteppingSession* const both[] = {&first, &second};
    TwoSessions result;
    if (together) {
      result.waits_together = test::run_interleaved(both, executor);
    } else {
      for (SteppingSession* one : both) test::run_interleaved({&one, 1}, executor);
    }
    result.first = {first.tokens(), first.logits()};
    result.second = {second.tokens(), second.logits()};
    return result;
  }

  static TwoSessions solo() {
    ThreadPool threads(1);
    ExpertCompute compute(model_->kernels(), threads);
    GgufSource source(model_->model().cutter(), kMiB);
    LocalExecutor executor(model_->model().cutter(), source, compute);
    return run(threads, executor, false);
  }

  static std::unique_ptr<SimModel> model_;
};

std::unique_ptr<SimModel> InterleavedSteps::model_;

TEST_F(InterleavedSteps, GiveTheBitsOfOneAfterTheOther) {
  TwoSessions alone = solo();
  ASSERT_EQ(alone.first.tokens.size(), 8u);
  ASSERT_EQ(alone.second.tokens.size(), 12u);
  std::unique_ptr<SimPool> pool = pool_at_rest(*model_, 1);
  TimePoint start = pool->clock().now();
  EXPECT_TRUE(run(pool->threads(), pool->executor(), false).same_bits(alone));
  Duration apart = pool->clock().now() - start;
  start = pool->clock().now();
  TwoSessions together = run(pool->threads(), pool->executor(), true);
  EXPECT_TRUE(together.same_bits(alone));
  EXPECT_GT(together.waits_together, 20u);
  EXPECT_LT(pool->clock().now() - start, apart) << "the workers compute for both at once";
  EXPECT_EQ(pool->core().dispatcher().statistics().local_unit_calls, 0u);
  EXPECT_TRUE(pool->violations().empty());
}

TEST_F(InterleavedSteps, GiveTheSameBitsUnderFaults) {
  TwoSessions alone = solo();
  uint64_t retries = 0;
  uint64_t locally = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::unique_ptr<SimPool> pool = pool_at_rest(*model_, seed);
    const FaultKind kinds[] = {FaultKind::kKill, FaultKind::kVanish, FaultKind::kFreeze,
                               FaultKind::kCorrupt, FaultKind::kRestart};
    for (size_t i = 0; i < 2 + seed % 2; ++i) {
      pool->add_fault({kinds[(seed + i) % 5], 3 + 11 * i + seed, i, seconds(2)});
    }
    TwoSessions together = run(pool->threads(), pool->executor(), true);
    EXPECT_TRUE(together.same_bits(alone));
    EXPECT_GT(together.waits_together, 0u);
    EXPECT_TRUE(pool->violations().empty());
    retries += pool->core().dispatcher().statistics().retries;
    locally += pool->core().dispatcher().statistics().local_unit_calls;
  }
  EXPECT_GT(retries, 24u);
  EXPECT_GT(locally, 0u);
}

}  // namespace
}  // namespace potluck::sim
