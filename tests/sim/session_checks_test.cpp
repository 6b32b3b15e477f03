// Every check of the simulator and of the session fuzzer is fed with what it is there to find.
#include "simulator/session_checks.h"

#include <gtest/gtest.h>

#include "tests/sim/message_outcomes.h"

namespace potluck::sim {
namespace {

constexpr TimePoint kSoon{1000};

TEST(ProgressCheck, FindsALoopThatWaitsForNothing) {
  ProgressCheck check("the loop");
  check.after_turn(true, kSoon);
  check.after_turn(true, TimePoint::max(), true);  // it has ended
  EXPECT_TRUE(check.violations().empty());
  check.after_turn(true, TimePoint::max());
  ASSERT_EQ(check.violations().size(), 1u);
  EXPECT_EQ(check.violations()[0], "the loop waits for nothing: nothing will ever be due again");
}

TEST(ProgressCheck, FindsALoopThatTurnsWithoutEnd) {
  ProgressCheck check("the loop");
  for (uint64_t i = 0; i + 1 < ProgressCheck::kMostTurnsInPlace; ++i) {
    check.after_turn(false, kSoon);
  }
  EXPECT_TRUE(check.violations().empty());
  check.after_turn(true, kSoon);  // time passes: counted from the start
  for (uint64_t i = 0; i + 1 < ProgressCheck::kMostTurnsInPlace; ++i) {
    check.after_turn(false, kSoon);
  }
  EXPECT_FALSE(check.spins());
  check.after_turn(false, kSoon);
  EXPECT_TRUE(check.spins());
  EXPECT_EQ(check.violations().size(), 1u);
}

TEST(TrafficCheck, FindsTooMuchForOnePeer) {
  TrafficCheck check("the loop", 100);
  PeerKey peer;
  constexpr uint64_t kHalf = TrafficCheck::kMostControlBytes / 2;
  for (int second = 0; second < 10; ++second) {  // a second's worth every second
    check.sent(peer, std::chrono::seconds(second), true, kHalf);
    check.sent(peer, std::chrono::seconds(second), true, kHalf);
  }
  check.sent(peer, std::chrono::seconds(9), false, 100 * kHalf);  // work and bulk do not count
  EXPECT_TRUE(check.violations().empty());
  check.sent(peer, std::chrono::seconds(9), true, 1);
  EXPECT_EQ(check.violations().size(), 1u);
}

TEST(TrafficCheck, FindsATurnThatMakesTooManyMessages) {
  TrafficCheck check("the loop", 100);
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < 100; ++i) check.sent({}, kSoon, false, 1);
    check.end_turn();
  }
  EXPECT_TRUE(check.violations().empty());
  for (int i = 0; i < 101; ++i) check.sent({}, kSoon, false, 1);
  EXPECT_EQ(check.violations().size(), 1u);
}

TEST(MemoryCheck, FindsWhatIsBeyondTheBudget) {
  MemoryCheck check(50 * kMiB, 10 * kMiB);
  check.look(60 * kMiB);
  check.look(40 * kMiB);
  EXPECT_TRUE(check.violations().empty());
  check.look(60 * kMiB + 1);
  EXPECT_EQ(check.violations().size(), 1u);
}

TEST(MemoryCheck, FindsWhatEachMessageLeavesBehind) {
  MemoryCheck settles(0, kGiB);
  settles.rest(kMiB, 10'000);
  settles.rest(kMiB + MemoryCheck::kSettling, 10'000);
  settles.rest(kMiB + MemoryCheck::kSettling, 10'000);
  EXPECT_TRUE(settles.violations().empty());
  MemoryCheck leaks(0, kGiB);
  for (uint64_t round = 0; round < 4; ++round) leaks.rest(kMiB + round * 10'000 * 256, 10'000);
  EXPECT_FALSE(leaks.violations().empty());
}

// A loop that throws all messages away, and one that accepts everything.
TEST(MessageOutcomes, FindKindsThatAreNeverTakenOrNeverRefused) {
  MessageOutcomes outcomes;
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    outcomes.count(kind, MessageOutcome::kIgnored);
    if (kind != kind_of<Compute>()) outcomes.count(kind, MessageOutcome::kTaken);
    if (kind != kind_of<Roster>()) outcomes.count(kind, MessageOutcome::kRefused);
  }
  EXPECT_EQ(outcomes.missing(), "Compute was never taken; Roster was never refused; ");
  outcomes.count(kind_of<Compute>(), MessageOutcome::kTaken);
  outcomes.count(kind_of<Roster>(), MessageOutcome::kRefused);
  EXPECT_EQ(outcomes.missing(), "");
}

TEST(MessageOutcomes, AreJudgedByWhatTheReceiverDid) {
  TurnRecord turn;
  turn.message = Hello{};
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kIgnored);
  PeerKey other;
  other.bytes[0] = 1;
  turn.sent.push_back({other, Channel::kCompute, Welcome{}});
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kIgnored);  // that was for another peer
  turn.sent.push_back({turn.from, Channel::kCompute, Welcome{}});
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kTaken);
  turn.sent = {{turn.from, Channel::kCompute, Refusal{}}};
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kRefused);
  turn.at_worker = true;
  turn.message = Compute{};
  turn.sent = {{turn.from, Channel::kCompute, Partial{}}};
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kTaken);
  std::get<Partial>(turn.sent[0].message).status = PartialStatus::kMissing;
  EXPECT_EQ(outcome_of(turn), MessageOutcome::kRefused);
}

}  // namespace
}  // namespace potluck::sim
