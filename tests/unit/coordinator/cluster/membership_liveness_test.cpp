#include <gtest/gtest.h>

#include "coordinator/cluster/membership.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::any_contains;
using test::MembershipTest;
using test::peer;

TEST_F(MembershipTest, SilenceMakesSuspectsAndThenLosses) {
  join(1);
  join(2);
  forget_sent();
  auto second_lives = [&] { membership_->heard_from(peer(2)); };
  pass(milliseconds(1750), second_lives);
  EXPECT_EQ(membership_->liveness(peer(1)), Liveness::kAlive);
  pass(milliseconds(500), second_lives);
  EXPECT_EQ(membership_->liveness(peer(1)), Liveness::kSuspect);
  forget_sent();
  pass(milliseconds(1000), second_lives);
  std::vector<Heartbeat> beats = sent<Heartbeat>(1);
  ASSERT_FALSE(beats.empty());
  EXPECT_TRUE(beats.back().reply_wanted);
  EXPECT_TRUE(membership_->is_member(peer(1)));
  membership_->take_notices();
  pass(milliseconds(1000), second_lives);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_TRUE(membership_->is_member(peer(2)));
  EXPECT_EQ(membership_->state().workers_lost(), 1u);
  EXPECT_EQ(membership_->take_reset_workers(), std::vector{peer(1)});
  std::vector<LogEvent> notices = membership_->take_notices();
  EXPECT_TRUE(
      any_contains(notices, "lost: no sign of life for 4.0 s; its 18 units move to 1 worker"))
      << testing::PrintToString(notices);
  std::vector<Assignment> assignments = sent<Assignment>(2);
  ASSERT_EQ(assignments.size(), 1u);
  EXPECT_EQ(assignments[0].units.size(), kUnits);
}

TEST_F(MembershipTest, WhoDiesTogetherInheritsNothing) {
  for (uint8_t number = 1; number <= 4; ++number) join(number);
  forget_sent();
  pass(milliseconds(4500), [&] { membership_->heard_from(peer(3)); });
  EXPECT_EQ(membership_->state().workers().size(), 1u);
  EXPECT_EQ(membership_->state().workers_lost(), 3u);
  EXPECT_EQ(sent<Assignment>(1).size() + sent<Assignment>(2).size() + sent<Assignment>(4).size(),
            0u);
  ASSERT_EQ(sent<Assignment>(3).size(), 1u);
}

TEST_F(MembershipTest, TheLastLossIsToldAsWhatItIs) {
  join(1);
  membership_->on_unreachable(peer(1), "connection closed");
  EXPECT_TRUE(any_contains(membership_->take_notices(),
                           "connection closed; the coordinator computes its 36 units itself"));
  EXPECT_EQ(assigned_units(), 0u);
}

TEST_F(MembershipTest, AnySignOfLifeCounts) {
  join(1);
  pass(milliseconds(10'000), [&] { tell(1, Heartbeat{kEpoch, 1, false}); });
  EXPECT_EQ(membership_->liveness(peer(1)), Liveness::kAlive);
}

TEST_F(MembershipTest, NobodyIsJudgedAfterWeWereAwayOurselves) {
  join(1);
  clock_.advance(std::chrono::minutes(10));
  membership_->excuse_silence();
  membership_->on_tick();
  EXPECT_TRUE(membership_->is_member(peer(1)));
  pass(milliseconds(5000));
  EXPECT_FALSE(membership_->is_member(peer(1)));
}

TEST_F(MembershipTest, BeatsWhenThereWasNothingElseToSay) {
  join(1);
  forget_sent();
  auto alive = [&] { membership_->heard_from(peer(1)); };
  pass(milliseconds(750), alive);
  EXPECT_EQ(sent<Heartbeat>(1).size(), 0u);
  membership_->sent_to(peer(1));
  pass(milliseconds(750), alive);
  EXPECT_EQ(sent<Heartbeat>(1).size(), 0u);
  pass(milliseconds(250), alive);
  std::vector<Heartbeat> beats = sent<Heartbeat>(1);
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_EQ(beats[0].epoch, kEpoch);
  EXPECT_FALSE(beats[0].reply_wanted);
  pass(milliseconds(3000), alive);
  EXPECT_EQ(sent<Heartbeat>(1).size(), 3u);
}

TEST_F(MembershipTest, NextTickIsNeverLaterThanTheNextChange) {
  join(1);
  for (int i = 0; i < 5; ++i) {
    TimePoint next = membership_->next_tick();
    EXPECT_GT(next, clock_.now());
    EXPECT_LE(next, clock_.now() + kHeartbeatInterval);
    clock_.set(next);
    membership_->on_tick();
  }
  EXPECT_FALSE(membership_->is_member(peer(1)));
}

TEST_F(MembershipTest, AnswersAHeartbeatThatWantsIt) {
  join(1);
  forget_sent();
  tell(1, Heartbeat{kEpoch, 5, false});
  EXPECT_EQ(sent<Heartbeat>(1).size(), 0u);
  tell(1, Heartbeat{kEpoch, 6, true});
  std::vector<Heartbeat> beats = sent<Heartbeat>(1);
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_FALSE(beats[0].reply_wanted);
}

TEST_F(MembershipTest, AnAllowedPeerThatIsNoMemberIsToldSo) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  tell(1, Heartbeat{kEpoch - 1, 5, false});
  std::vector<Heartbeat> beats = sent<Heartbeat>(1);
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_NE(beats[0].epoch, kEpoch);  // or it would think that all is well
  // A burst of old messages is answered once.
  for (int i = 0; i < 10; ++i) tell(1, Residency{kEpoch, 1, {}, {}});
  EXPECT_EQ(sent<Heartbeat>(1).size(), 0u);
  clock_.advance(milliseconds(200));
  membership_->heard_from(peer(1));
  EXPECT_EQ(sent<Heartbeat>(1).size(), 1u);
  // A stranger gets nothing at all.
  membership_->heard_from(peer(2));
  tell(2, Heartbeat{kEpoch, 5, true});
  EXPECT_EQ(sent<Heartbeat>(2).size(), 0u);
}

TEST_F(MembershipTest, AMemberOfAnotherEpochIsToldOurs) {
  join(1);
  forget_sent();
  tell(1, Heartbeat{kEpoch + 1, 5, true});
  std::vector<Heartbeat> beats = sent<Heartbeat>(1);
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_EQ(beats[0].epoch, kEpoch);
}

TEST_F(MembershipTest, GoodbyeEndsAMembership) {
  join(1);
  join(2);
  tell(1, Goodbye{kEpoch, "battery low\x1b[31m"});
  EXPECT_FALSE(membership_->is_member(peer(1)));
  std::vector<LogEvent> notices = membership_->take_notices();
  EXPECT_TRUE(any_contains(notices, "it left: battery low"));
  EXPECT_FALSE(any_contains(notices, "\x1b"));
  tell(1, Goodbye{kEpoch, "again"});
  EXPECT_EQ(membership_->state().workers_lost(), 1u);
}

TEST_F(MembershipTest, UnreachableStrangersAreNoLoss) {
  membership_->on_unreachable(peer(1), "connection closed");
  EXPECT_EQ(membership_->state().workers_lost(), 0u);
  EXPECT_TRUE(membership_->take_notices().empty());
}

TEST_F(MembershipTest, LostUnitsStayAssigned) {
  Assignment assignment = join(1);
  make_ready(1);
  membership_->on_units_lost(peer(1), {assignment.units[0], assignment.units[1]});
  EXPECT_EQ(membership_->state().units_ready(), kUnits - 2);
  EXPECT_EQ(assigned_units(), kUnits);
  membership_->on_units_lost(peer(9), {assignment.units[2]});
  EXPECT_EQ(membership_->state().units_ready(), kUnits - 2);
  tell(1, Residency{kEpoch, assignment.version, {assignment.units[0]}, {}});
  EXPECT_EQ(membership_->state().units_ready(), kUnits - 1);
}

// As after a restart of the coordinator: the members come back one after the other.
TEST_F(MembershipTest, MembersThatGatherAreGivenUnitsTogether) {
  options_.founding_workers = 2;
  options_.founding_patience = std::chrono::seconds(1);
  membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  for (uint8_t number : kThree) ASSERT_TRUE(allow_list_.add(peer(number), "").ok());
  tell(1, hello(1));
  EXPECT_EQ(sent<Welcome>(1).size(), 1u);
  EXPECT_EQ(sent<Assignment>(1).size(), 0u);
  clock_.advance(std::chrono::milliseconds(900));
  tell(2, hello(2));
  size_t first = sent<Assignment>(1).at(0).units.size();
  EXPECT_EQ(first + sent<Assignment>(2).at(0).units.size(), kUnits);
  EXPECT_GT(first, 0u);
}

TEST_F(MembershipTest, WhoeverGathersIsNotWaitedForWithoutEnd) {
  options_.founding_workers = 3;
  options_.founding_patience = std::chrono::seconds(1);
  membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  for (uint8_t number : kThree) ASSERT_TRUE(allow_list_.add(peer(number), "").ok());
  clock_.advance(std::chrono::hours(1));
  TimePoint begin = clock_.now();
  tell(1, hello(1));
  clock_.advance(std::chrono::milliseconds(500));
  tell(2, hello(2));
  EXPECT_LE(membership_->next_tick(), begin + std::chrono::seconds(1));
  clock_.set(begin + std::chrono::milliseconds(999));
  membership_->on_tick();
  EXPECT_EQ(sent<Assignment>(1).size(), 0u);
  clock_.set(begin + std::chrono::seconds(1));
  membership_->on_tick();
  EXPECT_EQ(sent<Assignment>(1).at(0).units.size() + sent<Assignment>(2).at(0).units.size(),
            kUnits);
  // The third one comes as any other.
  tell(3, hello(3));
  EXPECT_EQ(sent<Assignment>(3).size(), 1u);
}

}  // namespace
}  // namespace potluck
