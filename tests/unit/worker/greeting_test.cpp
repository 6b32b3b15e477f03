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
    address.invitation.emplace().endpoints = {"tcp://127.0.0.1:4000"};
    address.compute_endpoint.clear();
    start();
    greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002", key, {}});
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
  // Where this channel was connected to, in order; each is given once.
  std::vector<std::string> connected(Channel channel) {
    std::vector<std::string> endpoints;
    std::erase_if(actions, [&](const WorkerAction& action) {
      const auto* connect = std::get_if<ConnectChannel>(&action);
      if (connect == nullptr || connect->channel != channel) return false;
      endpoints.push_back(connect->endpoint);
      return true;
    });
    return endpoints;
  }
  // What was to be remembered last; each is given once.
  std::optional<PoolAddress> remembered() {
    std::optional<PoolAddress> last;
    std::erase_if(actions, [&](WorkerAction& action) {
      auto* remember = std::get_if<RememberPool>(&action);
      if (remember != nullptr) last = std::move(remember->pool);
      return remember != nullptr;
    });
    return last;
  }
  // Ticks when that is due, as a loop does.
  void pass(Duration time) {
    TimePoint end = clock.now() + time;
    while (greeting->next_tick() <= end && !link.ended()) {
      clock.set(std::max(clock.now(), greeting->next_tick()));
      greeting->on_tick();
    }
    clock.set(end);
  }
  void know_join_endpoint() {
    address.places = {{"tcp://127.0.0.1:4000", address.compute_endpoint, address.bulk_endpoint}};
  }
  void use_places() {
    address.places = {{"tcp://a:1", "tcp://a:2", "tcp://a:3"},
                      {"tcp://b:1", "tcp://b:2", "tcp://b:3"}};
    address.compute_endpoint = "tcp://a:2";
    address.bulk_endpoint = "tcp://a:3";
  }

  void use_pairing() {
    PairingOffer& offer = address.pairing.emplace();
    offer.own_key = numbered_key(77);
    offer.nonce.fill(5);
    offer.endpoints = {"tcp://a:1", "tcp://b:1"};
  }

  using Endpoints = std::vector<std::string>;

  SigningPublicKey key{1, 2, 3};
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
  address.invitation.emplace().endpoints = {"tcp://127.0.0.1:4000"};
  start();
  EXPECT_TRUE(greeting->joining());
  EXPECT_EQ(greeting->next_tick(), clock.now() + seconds(1));
  greeting->on_join_answer(JoinAccept{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002", key, {}});
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

// A first join: the person who typed the command should hear of it when nothing comes of it.
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
  know_join_endpoint();
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

// Each place has a join endpoint of its own, and is asked there in its turn.
TEST_F(GreetingTest, AMemberAsksAtThePlaceWhoseTurnItIs) {
  use_places();
  start();
  connections();
  pass(seconds(1));
  EXPECT_EQ(connections(), "join tcp://a:1, ");
  pass(seconds(1));
  EXPECT_EQ(connections(), "compute tcp://b:2, bulk tcp://b:3, join tcp://b:1, ");
  greeting->on_connected(Channel::kJoin);
  EXPECT_EQ(sent<JoinRequest>().size(), 1u);
  PoolPlace other{"tcp://c:1", "tcp://c:5", "tcp://c:6"};
  greeting->on_join_answer(JoinAccept{"tcp://b:5", "tcp://b:6", key, {other}});
  auto kept = remembered();
  ASSERT_TRUE(kept);
  PoolPlace now{"tcp://b:1", "tcp://b:5", "tcp://b:6"};
  EXPECT_EQ(kept->places, (std::vector<PoolPlace>{now, other}));
  EXPECT_EQ(kept->signing_key, address.signing_key);
  EXPECT_EQ(connections(), "-join, compute tcp://b:5, bulk tcp://b:6, ");
  pass(seconds(2));
  EXPECT_NE(connections().find("compute tcp://c:5"), std::string::npos);
}

// The connection that is tried may be under way: it is left alone.
TEST_F(GreetingTest, PlacesThatAreNewAreKeptAndTheOneThatIsTriedStays) {
  use_places();
  start();
  pass(seconds(1));
  connections();
  PoolPlace other{"tcp://c:1", "tcp://c:5", "tcp://c:6"};
  greeting->on_join_answer(JoinAccept{"tcp://a:2", "tcp://a:3", key, {other}});
  EXPECT_EQ(remembered()->places, (std::vector<PoolPlace>{address.places[0], other}));
  EXPECT_EQ(connections(), "-join, ");
}

// A place of an earlier version's file has none, but the invitation does.
TEST_F(GreetingTest, WhereAPlaceHasNoJoinEndpointTheInvitationsIsAsked) {
  address.invitation.emplace().endpoints = {"tcp://127.0.0.1:4000"};
  start();
  greeting->on_join_answer(Refusal{RefusalReason::kInvitation, "used"});
  connections();
  pass(seconds(1));
  EXPECT_EQ(connections(), "join tcp://127.0.0.1:4000, ");
}

TEST_F(GreetingTest, AnAnswerThatTellsNothingNewChangesNothing) {
  know_join_endpoint();
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
  know_join_endpoint();
  start();
  pass(seconds(1));
  actions.clear();
  welcome();
  EXPECT_EQ(connections(), "-join, ");
  greeting->on_connected(Channel::kJoin);
  EXPECT_TRUE(sent<JoinRequest>().empty());
}

TEST_F(GreetingTest, AMemberThatIsNoneAnyMoreIsTold) {
  know_join_endpoint();
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
  address.invitation.emplace().endpoints = {"tcp://127.0.0.1:4000"};
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

TEST_F(GreetingTest, AnInvitationsAddressesAreTriedInTurn) {
  address.invitation.emplace().endpoints = {"tcp://a:1", "tcp://b:1"};
  start();
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{"tcp://a:1"});
  EXPECT_EQ(sent<JoinRequest>().size(), 1u);
  pass(milliseconds(1999));
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{});
  pass(milliseconds(1));
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{"tcp://b:1"});
  // Each round is twice as patient, up to ten seconds a turn.
  pass(seconds(2 + 4 + 4 + 8 + 8 + 10 + 10));
  EXPECT_EQ(connected(Channel::kJoin).size(), 7u);
  pass(seconds(100));
  EXPECT_EQ(connected(Channel::kJoin).size(), 10u);
  EXPECT_FALSE(link.ended()) << "as with one address";
}

TEST_F(GreetingTest, AnAddressThatAnswersIsGivenTime) {
  address.invitation.emplace().endpoints = {"tcp://a:1", "tcp://b:1"};
  start();
  connected(Channel::kJoin);
  pass(seconds(1));
  greeting->on_connected(Channel::kJoin);
  pass(milliseconds(9999));
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{});
  pass(milliseconds(1));
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{"tcp://b:1"});
}

// A worker that came through a NAT goes on by the same way, with the ports that are said of it.
TEST_F(GreetingTest, TheWayThatWasAskedComesFirstThenThatOfTheNetwork) {
  address.invitation.emplace().endpoints = {"tcp://outside.example:7700"};
  start();
  PoolPlace outside{"tcp://outside.example:7700", "tcp://outside.example:7701",
                    "tcp://outside.example:7702"};
  PoolPlace other{"tcp://10.0.0.9:7700", "tcp://10.0.0.9:7701", "tcp://10.0.0.9:7702"};
  greeting->on_join_answer(
      JoinAccept{"tcp://172.17.0.2:7701", "tcp://172.17.0.2:7702", key, {other, outside}});
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{outside.compute});
  EXPECT_EQ(connected(Channel::kBulk), Endpoints{outside.bulk});
  auto kept = remembered();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->signing_key, key);
  EXPECT_EQ(greeting->signing_key(), key);
  EXPECT_EQ(kept->compute_endpoint, outside.compute);
  PoolPlace network{outside.join, "tcp://172.17.0.2:7701", "tcp://172.17.0.2:7702"};
  EXPECT_EQ(kept->places, (std::vector<PoolPlace>{outside, network, other}));
}

// What the coordinator calls its interface, another device may call otherwise.
TEST_F(GreetingTest, ALinkLocalAddressStaysAsThisDeviceWritesIt) {
  address.invitation.emplace().endpoints = {"tcp://[fe80::1%wlan0]:7700"};
  start();
  greeting->on_join_answer(
      JoinAccept{"tcp://[fe80::1%eth7]:7801", "tcp://[fe80::1%eth7]:7802", key, {}});
  PoolPlace place{"tcp://[fe80::1%wlan0]:7700", "tcp://[fe80::1%wlan0]:7801",
                  "tcp://[fe80::1%wlan0]:7802"};
  EXPECT_EQ(remembered()->places, std::vector<PoolPlace>{place});
}

TEST_F(GreetingTest, TheInvitationsSigningKeyStands) {
  address.invitation.emplace().endpoints = {"tcp://a:1"};
  address.signing_key.fill(9);
  start();
  greeting->on_join_answer(JoinAccept{"tcp://a:2", "tcp://a:3", key, {}});
  EXPECT_EQ(greeting->signing_key(), address.signing_key);
}

TEST_F(GreetingTest, WithoutASigningKeyThereIsNoPool) {
  address.invitation.emplace().endpoints = {"tcp://a:1"};
  start();
  greeting->on_join_answer(JoinAccept{"tcp://a:2", "tcp://a:3", {}, {}});
  EXPECT_TRUE(link.ended());
  EXPECT_NE(notices().find("earlier version"), std::string::npos);
}

TEST_F(GreetingTest, ThePlaceThatWorksIsRemembered) {
  use_places();
  start();
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://a:2"});
  pass(seconds(2));
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://b:2"});
  EXPECT_EQ(connected(Channel::kBulk), (Endpoints{"tcp://a:3", "tcp://b:3"}));
  EXPECT_FALSE(remembered());
  greeting->on_connected(Channel::kCompute);
  welcome();
  auto kept = remembered();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->compute_endpoint, "tcp://b:2");
  EXPECT_EQ(kept->places.at(0).join, "tcp://b:1");
  EXPECT_EQ(kept->places.at(1).join, "tcp://a:1");
  welcome();
  EXPECT_FALSE(remembered()) << "nothing has changed";
}

// The coordinator got another address, and its old one answers nothing.
TEST_F(GreetingTest, ASilentCoordinatorIsLookedForEverywhere) {
  use_places();
  start();
  welcome();
  actions.clear();
  pass(kDeadAfter);
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{}) << "the connection may still be sound";
  pass(seconds(2));
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://b:2"});
  pass(seconds(2));
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://a:2"});
  pass(seconds(600));
  EXPECT_FALSE(link.ended()) << "it was welcomed once";
  EXPECT_NE(notices().find("waiting for the coordinator at tcp://a:2 or tcp://b:2"),
            std::string::npos);
}

TEST_F(GreetingTest, WithoutAnInvitationPeopleAreAsked) {
  use_pairing();
  start();
  EXPECT_TRUE(greeting->joining());
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{"tcp://a:1"});
  const PairKeys keys{address.pairing->own_key, coordinator};
  EXPECT_EQ(sent<PairRequest>().at(0).commitment, pairing_commitment(keys, address.pairing->nonce));
  pass(seconds(1));
  EXPECT_EQ(sent<PairRequest>().size(), 1u) << "until it is answered";
  EXPECT_EQ(sent<PairReveal>().size(), 0u) << "not before the challenge";
  greeting->on_join_answer(PairChallenge{{9}, "kitchen"});
  EXPECT_EQ(sent<PairReveal>().at(0).nonce, address.pairing->nonce);
  EXPECT_EQ(notices(), "") << "the coordinator may not have got it";
  greeting->on_join_answer(PairPending{300});
  const std::string code = pairing_code(keys, address.pairing->nonce, {9});
  std::string told = notices();
  EXPECT_NE(told.find("the code is " + code), std::string::npos) << told;
  EXPECT_NE(told.find("'kitchen'"), std::string::npos) << told;
  greeting->on_join_answer(JoinAccept{"tcp://a:2", "tcp://a:3", key, {}});
  EXPECT_FALSE(greeting->joining());
  EXPECT_EQ(remembered()->signing_key, key);
  EXPECT_EQ(hellos(), 1u);
}

TEST_F(GreetingTest, ADeviceThatWaitsSaysSoAndShowsItsCodeNowAndThen) {
  use_pairing();
  start();
  greeting->on_join_answer(PairChallenge{{9}, "kitchen"});
  greeting->on_join_answer(PairPending{300});
  actions.clear();
  for (int i = 0; i < 150; ++i) {
    pass(seconds(2));
    ASSERT_EQ(sent<PairReveal>().size(), 1u) << i;
    greeting->on_join_answer(PairPending{1});
  }
  size_t lines = 0;
  for (char c : notices()) lines += c == '\n' ? 1 : 0;
  EXPECT_EQ(lines, 10u);
  EXPECT_EQ(connected(Channel::kJoin), Endpoints{}) << "it stays where it is answered";
  greeting->on_join_answer(Refusal{RefusalReason::kInvitation, "nobody in time"});
  EXPECT_TRUE(link.ended());
  EXPECT_NE(notices().find("does not admit this device: nobody in time"), std::string::npos);
}

TEST_F(GreetingTest, ACoordinatorThatIsAskedByManyIsAskedAgain) {
  use_pairing();
  start();
  greeting->on_join_answer(Refusal{RefusalReason::kFull, "many"});
  EXPECT_FALSE(link.ended());
  actions.clear();
  pass(seconds(1));
  EXPECT_EQ(sent<PairRequest>().size(), 1u);
}

// An attacker who knows this device's nonce by now could look for a challenge with a wanted code.
TEST_F(GreetingTest, ASecondChallengeEndsTheAttempt) {
  use_pairing();
  start();
  greeting->on_join_answer(PairChallenge{{9}, "kitchen"});
  greeting->on_join_answer(PairChallenge{{9}, "kitchen"});
  EXPECT_FALSE(link.ended()) << "the same one, repeated";
  greeting->on_join_answer(PairChallenge{{8}, "kitchen"});
  EXPECT_TRUE(link.ended());
}

TEST_F(GreetingTest, AClosedDoorEndsTheAttempt) {
  use_pairing();
  start();
  greeting->on_refused(Channel::kJoin);
  EXPECT_TRUE(link.ended());
  EXPECT_NE(notices().find("takes no device without an invitation"), std::string::npos);
}

TEST_F(GreetingTest, AChangeOfNetworkIsNoReasonToLeaveASoundConnection) {
  use_places();
  start();
  welcome();
  actions.clear();
  clock.advance(milliseconds(500));
  greeting->on_network_changed();
  EXPECT_TRUE(sent<Heartbeat>().at(0).reply_wanted);
  clock.advance(milliseconds(100));
  link.heard();
  pass(seconds(2));
  EXPECT_TRUE(greeting->welcomed());
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{});
}

TEST_F(GreetingTest, AfterAChangeOfNetworkADeadConnectionIsNoticedSoon) {
  use_places();
  start();
  welcome();
  actions.clear();
  clock.advance(milliseconds(500));
  greeting->on_network_changed();
  pass(milliseconds(1499));
  EXPECT_TRUE(greeting->welcomed());
  pass(milliseconds(1));
  EXPECT_FALSE(greeting->welcomed());
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://b:2"});
  greeting->on_network_changed();
  EXPECT_EQ(connected(Channel::kCompute), Endpoints{"tcp://a:2"}) << "at once";
}

}  // namespace
}  // namespace potluck::test
