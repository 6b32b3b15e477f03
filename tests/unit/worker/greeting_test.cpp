#include "worker/greeting.h"

#include "engine/kernels/kernels.h"
#include "protocol/liveness.h"
#include "tests/unit/worker/session_bench.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class GreetingTest : public SessionBench {
 protected:
  GreetingTest() {
    address.coordinator = coordinator;
    address.compute_endpoint = "tcp://127.0.0.1:4001";
    address.bulk_endpoint = "tcp://127.0.0.1:4002";
    options.ram_bytes = 64 * kMiB;
  }

  void start() { greeting.emplace(address, options, kernels, link).start(); }
  void welcome(uint64_t epoch = kEpoch) {
    EXPECT_TRUE(greeting->accept({epoch, 1, manifest.digest(), 1000, 1000}));
    greeting->settle();
  }
  void refuse() { greeting->on_refusal({RefusalReason::kProtocol, "what?"}); }
  size_t hellos() { return sent<Hello>().size(); }

  PoolAddress address;
  WorkerOptions options;
  std::vector<KernelDigest> kernels = kernel_self_test(*available_kernels().front());
  std::optional<Greeting> greeting;
};

// Welcomes that are worth nothing and connections that break at once make no storm of Hellos.
TEST_F(GreetingTest, HellosAreASecondApartAlsoAcrossWelcomes) {
  start();
  EXPECT_EQ(hellos(), 1u);
  TimePoint first = clock.now();
  for (int i = 0; i < 9; ++i) {
    clock.advance(milliseconds(100));
    welcome();
    greeting->on_unreachable();
    EXPECT_FALSE(greeting->welcomed());
    EXPECT_EQ(hellos(), 0u);
    EXPECT_EQ(greeting->next_tick(), first + seconds(1));
  }
  clock.set(first + seconds(1));
  greeting->on_tick();
  EXPECT_EQ(hellos(), 1u);
}

TEST_F(GreetingTest, EveryStateIsDueWhenItHasToAct) {
  address.invitation.emplace().join_endpoint = "tcp://127.0.0.1:4000";
  start();
  EXPECT_TRUE(greeting->joining());
  EXPECT_EQ(greeting->next_tick(), clock.now() + seconds(1));
  greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002"});
  EXPECT_FALSE(greeting->joining());
  EXPECT_EQ(greeting->next_tick(), clock.now() + seconds(1));
  welcome();
  EXPECT_EQ(greeting->next_tick(), link.peer_clock().next_due());
  clock.advance(kDeadAfter);
  greeting->on_tick();
  EXPECT_FALSE(greeting->welcomed());
  EXPECT_NE(notices().find("is silent for 4 s"), std::string::npos);
  EXPECT_EQ(greeting->next_tick(), clock.now() + seconds(1));
}

TEST_F(GreetingTest, AnotherEpochIsASignOnlyToThoseWhoWereWelcomed) {
  start();
  hellos();
  clock.advance(seconds(2));
  EXPECT_FALSE(greeting->is_current(kEpoch));
  EXPECT_EQ(hellos(), 0u);  // it is being greeted, when that is due
  welcome();
  EXPECT_TRUE(greeting->is_current(kEpoch));
  EXPECT_FALSE(greeting->is_current(kEpoch + 1));
  EXPECT_FALSE(greeting->welcomed());
  EXPECT_EQ(hellos(), 1u);
  EXPECT_TRUE(greeting->is_current(kEpoch));  // work of the last epoch is still answered
}

TEST_F(GreetingTest, AWelcomeForgivesEarlierMisunderstandings) {
  start();
  for (int i = 0; i < 4; ++i) refuse();
  welcome();
  for (int i = 0; i < 4; ++i) refuse();
  EXPECT_FALSE(link.ended());
  refuse();
  EXPECT_TRUE(link.ended());
}

TEST_F(GreetingTest, AnAbsenceIsNoPatienceUsedUp) {
  start();
  clock.advance(seconds(29));
  greeting->excuse_absence();
  clock.advance(seconds(29));
  greeting->on_tick();
  EXPECT_FALSE(link.ended());
  clock.advance(seconds(1));
  greeting->on_tick();
  EXPECT_TRUE(link.ended());
}

TEST_F(GreetingTest, AWelcomeThatCannotBeTakenLeavesTheOldOneStanding) {
  start();
  welcome();
  EXPECT_FALSE(greeting->accept({kEpoch + 1, 1, manifest.digest(), 0, 1000}));
  EXPECT_TRUE(link.ended());
  EXPECT_EQ(sent<Goodbye>().at(0).epoch, kEpoch + 1);
  EXPECT_EQ(greeting->epoch(), kEpoch);
}

}  // namespace
}  // namespace potluck::test
