// Pairing, both sides of it: a worker's attempt, a coordinator's desk, and an attacker between
// them.
#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "coordinator/cluster/beacon_answerer.h"
#include "coordinator/cluster/pairing_desk.h"
#include "protocol/memory_datagrams.h"
#include "tests/support/numbered_key.h"
#include "worker/beacon_search.h"
#include "worker/pairing_attempt.h"

namespace potluck::sim {
namespace {

using test::numbered_key;

const PeerKey kWorker = numbered_key(1);
const PeerKey kCoordinator = numbered_key(2);
// An attacker in the middle has a key of its own on either side.
const PeerKey kFalseCoordinator = numbered_key(3);
const PeerKey kFalseWorker = numbered_key(4);

PairNonce drawn_nonce(Entropy& entropy) {
  PairNonce nonce{};
  entropy.fill(std::as_writable_bytes(std::span(nonce)));
  return nonce;
}

template <class T>
T expect(const std::optional<Message>& message) {
  const T* found = message ? std::get_if<T>(&*message) : nullptr;
  EXPECT_NE(found, nullptr) << (message ? message_name(*message) : "nothing");
  return found == nullptr ? T{} : *found;
}

class PairingSim : public testing::Test {
 protected:
  // The code that the coordinator has for this key; empty if it does not wait.
  static std::string code_at(const PairingDesk& desk, const PeerKey& key) {
    for (const WaitingDevice& device : desk.waiting()) {
      if (device.key == key) return device.code;
    }
    return "";
  }

  ManualClock clock_;
  SeededEntropy entropy_{7};
  PairingDesk desk_{kCoordinator, "kitchen", entropy_, clock_};
};

TEST_F(PairingSim, WithNobodyBetweenBothShowTheSameCode) {
  PairingAttempt attempt({kWorker, kCoordinator}, drawn_nonce(entropy_));
  auto request = expect<PairRequest>(attempt.message("phone"));
  auto challenge = expect<PairChallenge>(desk_.on_request(kWorker, {}, request));
  ASSERT_TRUE(attempt.on_challenge(challenge));
  auto reveal = expect<PairReveal>(attempt.message("phone"));
  expect<PairPending>(desk_.on_reveal(kWorker, reveal));
  EXPECT_EQ(attempt.code(), code_at(desk_, kWorker));
  EXPECT_EQ(attempt.coordinator_name(), "kitchen");
  EXPECT_EQ(desk_.find(attempt.code())->name, "phone");
}

// It passes on what it hears, under its own keys: both people look at different codes.
TEST_F(PairingSim, APersonInTheMiddleWhoPassesEverythingOnIsSeen) {
  std::set<std::string> shown;
  for (int i = 0; i < 100; ++i) {
    PairingDesk desk(kCoordinator, "kitchen", entropy_, clock_);
    PairingAttempt attempt({kWorker, kFalseCoordinator}, drawn_nonce(entropy_));
    auto request = expect<PairRequest>(attempt.message("phone"));
    // Passed on as it is, the commitment is of no use: it names the keys that the worker sees.
    auto challenge = expect<PairChallenge>(desk.on_request(kFalseWorker, {}, request));
    ASSERT_TRUE(attempt.on_challenge(challenge));
    auto reveal = expect<PairReveal>(attempt.message("phone"));
    expect<Refusal>(desk.on_reveal(kFalseWorker, reveal));
    EXPECT_EQ(code_at(desk, kFalseWorker), "");
    shown.insert(attempt.code());
  }
  EXPECT_EQ(shown.size(), 100u);
}

// It pairs with either side by itself, with nonces of its own, and the codes differ.
TEST_F(PairingSim, APersonInTheMiddleWithNoncesOfItsOwnIsSeen) {
  for (int i = 0; i < 1000; ++i) {
    PairingDesk desk(kCoordinator, "kitchen", entropy_, clock_);
    PairingAttempt victim({kWorker, kFalseCoordinator}, drawn_nonce(entropy_));
    PairingAttempt own({kFalseWorker, kCoordinator}, drawn_nonce(entropy_));
    (void)victim.message("phone");
    auto challenge = expect<PairChallenge>(
        desk.on_request(kFalseWorker, {}, expect<PairRequest>(own.message("phone"))));
    ASSERT_TRUE(own.on_challenge(challenge));
    // The same nonce, in the hope that it leads to the same code.
    ASSERT_TRUE(victim.on_challenge(challenge));
    expect<PairPending>(desk.on_reveal(kFalseWorker, expect<PairReveal>(own.message("phone"))));
    EXPECT_NE(victim.code(), code_at(desk, kFalseWorker));
    EXPECT_FALSE(desk.find(victim.code()));
  }
}

// Towards the coordinator it is bound by its commitment: it has seen the code of the worker and
// knows a nonce that would lead to the same one, but may not use it. Codes of three digits here, or
// the search would take minutes.
TEST_F(PairingSim, ACommitmentKeepsTheMiddleFromChoosingItsNonceLater) {
  auto digits = [](const std::string& code) { return code.substr(0, 3); };
  PairingAttempt victim({kWorker, kFalseCoordinator}, drawn_nonce(entropy_));
  const PairKeys keys{kFalseWorker, kCoordinator};
  const PairNonce committed = drawn_nonce(entropy_);
  auto challenge = expect<PairChallenge>(
      desk_.on_request(kFalseWorker, {}, {pairing_commitment(keys, committed), "phone"}));
  ASSERT_TRUE(victim.on_challenge({drawn_nonce(entropy_), "kitchen"}));
  PairNonce fitting = committed;
  do {
    fitting = drawn_nonce(entropy_);
  } while (digits(pairing_code(keys, fitting, challenge.nonce)) != digits(victim.code()));
  expect<Refusal>(desk_.on_reveal(kFalseWorker, {fitting}));
  EXPECT_TRUE(desk_.waiting().empty());
}

// Towards the worker it has to choose its nonce while the worker's is hidden, and may do so once.
TEST_F(PairingSim, TheMiddleCannotTryOutChallenges) {
  PairingAttempt victim({kWorker, kFalseCoordinator}, drawn_nonce(entropy_));
  ASSERT_TRUE(victim.on_challenge({drawn_nonce(entropy_), "kitchen"}));
  const std::string code = victim.code();
  EXPECT_FALSE(victim.on_challenge({drawn_nonce(entropy_), "kitchen"}));
  EXPECT_EQ(victim.code(), code);
}

// It leaves attempts whose code does not suit it. Within the time for which the worker waits, it
// can make so few that it does not find the code of eight digits.
TEST_F(PairingSim, TheMiddleCannotTryOutManyPairings) {
  PairingAttempt victim({kWorker, kFalseCoordinator}, drawn_nonce(entropy_));
  ASSERT_TRUE(victim.on_challenge({drawn_nonce(entropy_), "kitchen"}));
  const TimePoint end = clock_.now() + kPairingTime;
  int attempts = 0;
  for (; clock_.now() < end; clock_.advance(std::chrono::milliseconds(50))) {
    PeerKey key = kFalseWorker;
    key.bytes[1] = static_cast<uint8_t>(attempts);
    PairingAttempt own({key, kCoordinator}, drawn_nonce(entropy_));
    AddressGroup origin{{10, 0, static_cast<uint8_t>(entropy_.next64() % 256)}};
    auto answer = desk_.on_request(key, origin, std::get<PairRequest>(own.message("")));
    const auto* challenge = answer ? std::get_if<PairChallenge>(&*answer) : nullptr;
    if (challenge == nullptr) continue;
    ++attempts;
    ASSERT_TRUE(own.on_challenge(*challenge));
    ASSERT_TRUE(desk_.on_reveal(key, std::get<PairReveal>(own.message(""))));
    EXPECT_FALSE(desk_.find(victim.code()));
    desk_.forget(key);
  }
  EXPECT_LE(attempts, static_cast<int>(kPairingBurst + kPairingTime / kPairingInterval));
}

// From the question on the cable to the same code on both sides.
TEST_F(PairingSim, AWorkerFindsACoordinatorOnTheCable) {
  MemoryDatagrams cable;
  auto kitchen = cable.attach("10.0.0.1", kBeaconPort, true);
  auto attic = cable.attach("10.0.0.2", kBeaconPort, true);
  auto worker = cable.attach("10.0.0.3", 40001, false);
  BeaconAnswerer kitchen_answers({0, kCoordinator, 7700, "kitchen"}, "", clock_);
  BeaconAnswerer attic_answers({0, numbered_key(9), 7800, "attic"}, "", clock_);
  // The first two questions to the attic are lost.
  int lost = 2;
  cable.set_loss([&](const std::string& from, const std::string& to) {
    return from == "10.0.0.3" && to == "10.0.0.2" && lost-- > 0;
  });
  BeaconSearch search(entropy_, clock_);
  const TimePoint end = clock_.now() + std::chrono::seconds(5);
  while (!search.settled() && clock_.now() < end) {
    if (auto question = search.take_question()) {
      ASSERT_TRUE(worker->send_everywhere(*question).ok());
    }
    for (auto& [socket, answerer] :
         {std::pair{kitchen.get(), &kitchen_answers}, std::pair{attic.get(), &attic_answers}}) {
      while (auto datagram = socket->receive({})) {
        auto answer = answerer->on_datagram(*datagram);
        ASSERT_TRUE(answer);
        ASSERT_TRUE(socket->send(datagram->from, *answer).ok());
      }
    }
    while (auto answer = worker->receive({})) search.on_datagram(*answer);
    clock_.advance(std::chrono::milliseconds(10));
  }
  ASSERT_EQ(search.found().size(), 2u);
  EXPECT_EQ(search.found()[0].name, "kitchen");
  EXPECT_EQ(search.found()[0].endpoints, std::vector<std::string>{"tcp://10.0.0.1:7700"});
  EXPECT_EQ(search.found()[1].endpoints, std::vector<std::string>{"tcp://10.0.0.2:7800"});
  EXPECT_EQ(search.found()[0].coordinator, kCoordinator);
}

}  // namespace
}  // namespace potluck::sim
