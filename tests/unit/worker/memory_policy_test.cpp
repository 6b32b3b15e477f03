// When a worker gives memory back, how much, and when it takes it again.
#include "worker/memory_policy.h"

#include <gtest/gtest.h>

#include "engine/base/bytes.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

constexpr uint64_t kOffered = 800 * kMiB;

class MemoryPolicyTest : public testing::Test {
 protected:
  // MiB; the experts hold as much as they may, unless said otherwise.
  uint64_t after(Duration time, uint64_t available, std::optional<double> stall = std::nullopt,
                 std::optional<uint64_t> resident = std::nullopt) {
    now_ += time;
    MemoryState state{4 * kGiB, available * kMiB, stall, policy_.limit()};
    if (resident) state.resident = *resident * kMiB;
    return policy_.judge(state, now_) / kMiB;
  }

  MemoryPolicy policy_{kOffered};
  TimePoint now_{seconds(1)};
};

TEST_F(MemoryPolicyTest, WithEnoughMemoryAllOfItStays) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(after(seconds(1), 2000, 0.0), 800u);
  EXPECT_EQ(policy_.shrinks(), 0u);
}

// The reserve of 4 GiB is 256 MiB.
TEST_F(MemoryPolicyTest, WhenLittleIsLeftAsMuchIsGivenBackAsIsMissing) {
  EXPECT_EQ(after(seconds(1), 256), 800u);
  EXPECT_EQ(after(seconds(1), 200), 800u - (512 - 200));
  EXPECT_EQ(after(seconds(1), 512), 488u);
  EXPECT_EQ(after(seconds(1), 0), 100u);  // the floor
  EXPECT_EQ(after(seconds(1), 0), 100u);
  EXPECT_EQ(policy_.shrinks(), 2u);
  EXPECT_EQ(policy_.given_back(), 700 * kMiB);
}

// What was never taken need not be given back, but must not be taken now.
TEST_F(MemoryPolicyTest, UnderPressureTheCacheDoesNotGrow) {
  EXPECT_EQ(after(seconds(1), 250, std::nullopt, 300), 100u);
  EXPECT_EQ(policy_.given_back(), 200 * kMiB);
}

TEST_F(MemoryPolicyTest, ProgramsThatWaitForMemoryGetSome) {
  EXPECT_EQ(after(seconds(1), 2000, 9.0), 800u);
  EXPECT_EQ(after(seconds(1), 2000, 15.0), 600u);
  EXPECT_EQ(after(seconds(1), 2000, 15.0), 600u);  // the average has not followed yet
  EXPECT_EQ(after(seconds(4), 2000, 50.0), 300u);
  EXPECT_EQ(after(seconds(5), 2000, 50.0), 150u);
  EXPECT_EQ(after(seconds(5), 2000, 50.0), 100u);
  EXPECT_EQ(policy_.shrinks(), 4u);
}

TEST_F(MemoryPolicyTest, ItComesBackInStepsAfterACalmWhile) {
  EXPECT_EQ(after(seconds(1), 0), 100u + 188u);
  EXPECT_EQ(after(seconds(1), 2000), 288u);
  EXPECT_EQ(after(seconds(29), 2000), 288u);
  EXPECT_EQ(after(seconds(1), 2000), 388u);
  EXPECT_EQ(after(seconds(1), 2000), 388u);
  EXPECT_EQ(after(seconds(9), 2000), 488u);
  EXPECT_EQ(after(seconds(5), 2000, 5.0), 488u);  // and the while begins anew
  EXPECT_EQ(after(seconds(20), 2000), 488u);
  EXPECT_EQ(after(seconds(20), 2000), 488u);
  EXPECT_EQ(after(seconds(10), 2000), 588u);
  for (int i = 0; i < 5; ++i) after(seconds(10), 2000);
  EXPECT_EQ(policy_.limit(), kOffered);
}

TEST_F(MemoryPolicyTest, NoMoreIsTakenThanIsThere) {
  EXPECT_EQ(after(seconds(1), 0), 288u);
  after(seconds(1), 769);
  EXPECT_EQ(after(seconds(30), 769), 388u);            // 769 - 512 are spare
  EXPECT_EQ(after(seconds(10), 769, 0.0, 140), 397u);  // beyond the 140 that it holds
}

TEST_F(MemoryPolicyTest, WhereNothingIsKnownNothingHappens) {
  EXPECT_EQ(policy_.judge({}, now_), kOffered);
}

}  // namespace
}  // namespace potluck::test
