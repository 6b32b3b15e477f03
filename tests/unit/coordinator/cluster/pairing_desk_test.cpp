#include "coordinator/cluster/pairing_desk.h"

#include <gtest/gtest.h>

#include "protocol/join_limits.h"
#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PairingDeskTest : public testing::Test {
 protected:
  PairingDeskTest() { clock_.set(std::chrono::hours(1)); }

  static PeerKey own_key() { return numbered_key(200); }
  static PeerKey key(uint32_t number) {
    PeerKey key = numbered_key(static_cast<uint8_t>(number));
    key.bytes[0] = static_cast<uint8_t>(number >> 8);
    return key;
  }
  static AddressGroup group(uint8_t number) { return {{10, 0, 0, number}}; }
  static PairNonce nonce(uint32_t number) {
    PairNonce nonce{};
    nonce[0] = static_cast<uint8_t>(number);
    nonce[1] = 1;
    return nonce;
  }
  static PairRequest request(uint32_t number) {
    return {pairing_commitment({key(number), own_key()}, nonce(number)),
            "phone-" + std::to_string(number)};
  }

  // Nothing if it was refused.
  std::optional<PairChallenge> ask(uint32_t number, uint8_t from = 1) {
    auto answer = desk_.on_request(key(number), group(from), request(number));
    const auto* challenge = answer ? std::get_if<PairChallenge>(&*answer) : nullptr;
    return challenge == nullptr ? std::nullopt : std::optional(*challenge);
  }
  // The code that the device shows; empty if it was refused.
  std::string pair(uint32_t number, uint8_t from = 1) {
    auto challenge = ask(number, from);
    if (!challenge) return "";
    EXPECT_TRUE(reveal(number));
    return pairing_code({key(number), own_key()}, nonce(number), challenge->nonce);
  }
  bool reveal(uint32_t number) {
    auto answer = desk_.on_reveal(key(number), {nonce(number)});
    return answer && std::holds_alternative<PairPending>(*answer);
  }
  void pass(Duration time) {
    TimePoint end = clock_.now() + time;
    while (desk_.next_tick() <= end) {
      clock_.set(std::max(clock_.now(), desk_.next_tick()));
      desk_.on_tick();
    }
    clock_.set(end);
  }

  ManualClock clock_;
  SeededEntropy entropy_{1};
  PairingDesk desk_{own_key(), "kitchen", entropy_, clock_};
};

TEST_F(PairingDeskTest, ADeviceWaitsWithTheCodeThatItShows) {
  EXPECT_TRUE(desk_.waiting().empty());
  EXPECT_EQ(desk_.next_tick(), TimePoint::max());
  std::string code = pair(1);
  ASSERT_EQ(code.size(), 9u);
  auto waiting = desk_.waiting();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0], (WaitingDevice{key(1), "phone-1", code, Duration{0}}));
  EXPECT_EQ(desk_.take_news(), waiting);
  EXPECT_TRUE(desk_.take_news().empty());
  EXPECT_EQ(desk_.find(code)->key, key(1));
  desk_.forget(key(1));
  EXPECT_TRUE(desk_.waiting().empty());
  EXPECT_FALSE(desk_.find(code));
}

TEST_F(PairingDeskTest, AWrongCodeIsNobodys) {
  std::string code = pair(1);
  std::string wrong = code;
  wrong[0] = wrong[0] == '0' ? '1' : '0';
  EXPECT_FALSE(desk_.find(wrong));
  EXPECT_FALSE(desk_.find(""));
  // One that has not revealed its nonce has no code yet.
  ASSERT_TRUE(ask(2));
  EXPECT_FALSE(desk_.find(""));
  EXPECT_EQ(desk_.waiting().size(), 1u);
}

TEST_F(PairingDeskTest, TwoDevicesWaitEachWithItsOwnCode) {
  std::string first = pair(1);
  clock_.advance(seconds(1));
  std::string second = pair(2);
  EXPECT_NE(first, second);
  ASSERT_EQ(desk_.waiting().size(), 2u);
  EXPECT_EQ(desk_.waiting()[0].waited, seconds(1));
  EXPECT_EQ(desk_.find(second)->name, "phone-2");
}

TEST_F(PairingDeskTest, ARepeatedRequestIsTheSameAttempt) {
  auto challenge = ask(1);
  ASSERT_TRUE(challenge);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask(1), challenge);
  EXPECT_TRUE(reveal(1));
  EXPECT_EQ(ask(1), challenge) << "also when its connection was made anew";
  EXPECT_EQ(desk_.waiting().size(), 1u);
}

// The commitment is what keeps an attacker from choosing a nonce to which a certain code belongs.
TEST_F(PairingDeskTest, AnotherNonceThanTheCommittedOneEndsTheAttempt) {
  ASSERT_TRUE(ask(1));
  auto answer = desk_.on_reveal(key(1), {nonce(2)});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::holds_alternative<Refusal>(*answer));
  EXPECT_FALSE(reveal(1)) << "the right one comes too late";
  EXPECT_TRUE(desk_.waiting().empty());
  // Not the commitment of another key, either.
  ASSERT_TRUE(desk_.on_request(key(3), group(1), request(4)));
  EXPECT_TRUE(std::holds_alternative<Refusal>(*desk_.on_reveal(key(3), {nonce(4)})));
  EXPECT_TRUE(desk_.waiting().empty());
}

TEST_F(PairingDeskTest, EachAttemptGetsAFreshChallenge) {
  auto first = ask(1);
  desk_.forget(key(1));
  auto second = ask(1);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->nonce, second->nonce);
}

TEST_F(PairingDeskTest, ADeviceThatGoesAwayIsForgotten) {
  pair(1);
  for (int i = 0; i < 20; ++i) {
    pass(seconds(2));
    ASSERT_TRUE(reveal(1)) << "it says that it still waits";
  }
  pass(kPairingSilence - milliseconds(1));
  EXPECT_EQ(desk_.waiting().size(), 1u);
  pass(milliseconds(1));
  EXPECT_TRUE(desk_.waiting().empty());
  auto answer = desk_.on_reveal(key(1), {nonce(1)});
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<Refusal>(*answer).reason, RefusalReason::kInvitation);
}

TEST_F(PairingDeskTest, NobodyWaitsForEver) {
  pair(1);
  for (Duration waited{0}; waited + seconds(2) < kPairingTime; waited += seconds(2)) {
    pass(seconds(2));
    ASSERT_TRUE(reveal(1));
  }
  pass(seconds(2));
  EXPECT_FALSE(reveal(1));
  // One that does not reveal its nonce has a few seconds.
  ASSERT_TRUE(ask(2));
  pass(kRevealTime);
  EXPECT_FALSE(reveal(2));
  EXPECT_EQ(desk_.next_tick(), TimePoint::max());
}

// However many addresses and keys an attacker has: kPairingBurst, and then one per
// kPairingInterval.
TEST_F(PairingDeskTest, AttemptsAreBoundedOverall) {
  size_t begun = 0;
  uint32_t number = 0;
  for (Duration time{0}; time < kPairingTime; time += milliseconds(100)) {
    for (uint8_t from = 0; from < 100; ++from) {
      if (ask(++number, from)) ++begun;
      desk_.forget(key(number));
    }
    pass(milliseconds(100));
  }
  EXPECT_LE(begun, kPairingBurst + kPairingTime / kPairingInterval);
  EXPECT_GE(begun, kPairingTime / kPairingInterval) << "and they are not refused without need";
}

TEST_F(PairingDeskTest, OneAddressLeavesAttemptsForOthers) {
  size_t begun = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    if (ask(i, 1)) ++begun;
    desk_.forget(key(i));
  }
  EXPECT_EQ(begun, kPairingBurstPerOrigin);
  EXPECT_NE(pair(1001, 2), "");
  pass(kPairingIntervalPerOrigin);
  EXPECT_TRUE(ask(1002, 1)) << "later it may try again";
}

TEST_F(PairingDeskTest, PlacesAreSharedBetweenAddresses) {
  // A flood fills the desk as fast as it may, from two addresses.
  uint32_t number = 0;
  while (desk_.waiting().size() < limits::kWaitingDevices) {
    ++number;
    pair(number, static_cast<uint8_t>(1 + number % 2));
    for (uint32_t i = 1; i <= number; ++i) reveal(i);
    pass(kPairingIntervalPerOrigin / 2);
  }
  std::string code = pair(1000, 9);
  ASSERT_NE(code, "") << "an address with fewer places comes in";
  EXPECT_EQ(desk_.waiting().size(), limits::kWaitingDevices);
  EXPECT_TRUE(desk_.find(code));
  // And it is not pushed out by those who have many.
  for (int i = 0; i < 10; ++i) {
    pass(seconds(5));
    reveal(1000);
    ++number;
    pair(number, static_cast<uint8_t>(1 + number % 2));
    for (uint32_t old = 1; old <= number; ++old) reveal(old);
  }
  EXPECT_TRUE(desk_.find(code));
}

TEST_F(PairingDeskTest, NamesAreMadeHarmless) {
  PairRequest hostile = request(1);
  hostile.name = "a\nb\x1b[2J" + std::string(5000, 'x');
  ASSERT_TRUE(desk_.on_request(key(1), group(1), hostile));
  ASSERT_TRUE(reveal(1));
  EXPECT_EQ(desk_.waiting()[0].name.substr(0, 9), "a?b?[2Jxx");
  EXPECT_LE(desk_.waiting()[0].name.size(), 64u);
}

}  // namespace
}  // namespace potluck::test
