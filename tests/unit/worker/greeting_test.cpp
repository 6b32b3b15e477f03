#include "worker/greeting.h"

#include <algorithm>

#include <fmt/format.h>

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
  // For the first time, and accepted.
  void join() {
    address.invitation.emplace().join_endpoint = "tcp://127.0.0.1:4000";
    address.compute_endpoint.clear();
    start();
    greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002"});
  }
  void pass(Duration time) {
    for (TimePoint end = clock.now() + time; clock.now() < end && !link.ended();) {
      clock.set(std::min(end, std::max(greeting->next_tick(), clock.now() + milliseconds(1))));
      greeting->on_tick();
    }
  }
  // Channels that were to be connected and disconnected since the last look, in order:
  // "join tcp://..", "-join".
  std::string connections() {
    std::string text;
    auto name = [](Channel channel) {
      return channel == Channel::kJoin ? "join" : channel == Channel::kBulk ? "bulk" : "compute";
    };
    for (const WorkerAction& action : actions) {
      if (const auto* made = std::get_if<ConnectChannel>(&action)) {
        text += fmt::format("{} {}, ", name(made->channel), made->endpoint);
      } else if (const auto* gone = std::get_if<DisconnectChannel>(&action)) {
        text += fmt::format("-{}, ", name(gone->channel));
      }
    }
    actions.clear();
    return text;
  }

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

// A first join: whoever typed the command should hear of it when nothing comes of it.
TEST_F(GreetingTest, AnAbsenceIsNoPatienceUsedUp) {
  join();
  clock.advance(seconds(29));
  greeting->excuse_absence();
  clock.advance(seconds(29));
  greeting->on_tick();
  EXPECT_FALSE(link.ended());
  clock.advance(seconds(1));
  greeting->on_tick();
  EXPECT_TRUE(link.ended());
}

TEST_F(GreetingTest, AFirstJoinThatComesToNothingEnds) {
  join();
  pass(seconds(31));
  EXPECT_TRUE(link.ended());
  EXPECT_NE(notices().find("no answer from tcp://127.0.0.1:5001 for 30 s"), std::string::npos);
}

// A worker that starts while its coordinator is away.
TEST_F(GreetingTest, AKnownCoordinatorIsWaitedForWithoutEnd) {
  start();
  pass(std::chrono::hours(12));
  EXPECT_FALSE(link.ended());
  std::string told = notices();
  EXPECT_NE(told.find("no answer for 5 s"), std::string::npos);
  EXPECT_LT(std::count(told.begin(), told.end(), '\n'), 12 * 60 + 10);
  welcome();
  EXPECT_TRUE(greeting->welcomed());
}

TEST_F(GreetingTest, AMemberThatGetsNoAnswerAsksWhereTheOthersAre) {
  address.join_endpoint = "tcp://127.0.0.1:4000";
  start();
  welcome();
  actions.clear();
  greeting->on_unreachable();
  pass(milliseconds(999));
  EXPECT_EQ(connections(), "");
  pass(milliseconds(1));
  EXPECT_EQ(connections(), "join tcp://127.0.0.1:4000, ");
  EXPECT_TRUE(sent<JoinRequest>().empty());  // not before it is connected
  greeting->on_connected(Channel::kJoin);
  std::vector<JoinRequest> asked = sent<JoinRequest>();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].secret, InvitationSecret{});
  greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:6001", "tcp://127.0.0.1:6002"});
  EXPECT_EQ(notices(), "the coordinator is reached at tcp://127.0.0.1:6001 now\n");
  EXPECT_EQ(connections(), "-join, compute tcp://127.0.0.1:6001, bulk tcp://127.0.0.1:6002, ");
  greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:7001", "tcp://127.0.0.1:7002"});  // late
  EXPECT_EQ(connections(), "");
  greeting->on_connected(Channel::kCompute);
  EXPECT_EQ(hellos(), 1u);
}

TEST_F(GreetingTest, AnAnswerThatTellsNothingNewChangesNothing) {
  address.join_endpoint = "tcp://127.0.0.1:4000";
  start();
  pass(seconds(1));
  greeting->on_connected(Channel::kJoin);
  actions.clear();
  greeting->on_join_answer(JoinAccept{address.compute_endpoint, address.bulk_endpoint});
  EXPECT_EQ(connections(), "-join, ");
  pass(seconds(9));  // the others were tried anew meanwhile
  EXPECT_NE(connections().find("compute tcp://127.0.0.1:4001"), std::string::npos);
  pass(seconds(1));
  EXPECT_EQ(connections(), "join tcp://127.0.0.1:4000, ");
}

TEST_F(GreetingTest, WhoeverIsWelcomedAsksNoLonger) {
  address.join_endpoint = "tcp://127.0.0.1:4000";
  start();
  pass(seconds(1));
  actions.clear();
  welcome();
  EXPECT_EQ(connections(), "-join, ");
  greeting->on_connected(Channel::kJoin);
  EXPECT_TRUE(sent<JoinRequest>().empty());
}

TEST_F(GreetingTest, AMemberThatIsNoneAnyMoreIsTold) {
  address.join_endpoint = "tcp://127.0.0.1:4000";
  start();
  greeting->on_join_answer(Refusal{RefusalReason::kInvitation, "late"});  // nothing was asked
  greeting->on_refused(Channel::kJoin);
  EXPECT_FALSE(link.ended());
  pass(seconds(1));
  greeting->on_join_answer(Refusal{RefusalReason::kInvitation, "unknown"});
  EXPECT_TRUE(link.ended());
  EXPECT_NE(notices().find("does not know this device's key"), std::string::npos);
}

// The invitation's endpoint serves a later life of the coordinator as well.
TEST_F(GreetingTest, AFirstMembershipKnowsWhereToAsk) {
  join();
  welcome();
  greeting->on_unreachable();
  actions.clear();
  pass(seconds(1));
  EXPECT_EQ(connections(), "join tcp://127.0.0.1:4000, ");
}

TEST_F(GreetingTest, AnotherAddressOfThisDeviceBeginsAnew) {
  start();
  welcome();
  hellos();
  actions.clear();
  clock.advance(seconds(5));
  greeting->on_moved("tcp://10.0.0.7:99");
  EXPECT_FALSE(greeting->welcomed());
  std::vector<Hello> said = sent<Hello>();
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].bulk_endpoint, "tcp://10.0.0.7:99");
  EXPECT_EQ(connections(), "compute tcp://127.0.0.1:4001, bulk tcp://127.0.0.1:4002, ");
}

TEST_F(GreetingTest, AnotherAddressOfThisDeviceWhileItJoins) {
  address.invitation.emplace().join_endpoint = "tcp://127.0.0.1:4000";
  start();
  actions.clear();
  greeting->on_moved("");
  EXPECT_TRUE(greeting->joining());
  EXPECT_EQ(connections(), "join tcp://127.0.0.1:4000, ");
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
