#include "coordinator/cluster/membership.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/memory_storage.h"
#include "tests/support/faulty_storage.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::any_contains;
using test::MembershipTest;
using test::peer;

constexpr uint8_t kTwo[] = {1, 2};
constexpr uint8_t kThree[] = {1, 2, 3};

TEST_F(MembershipTest, UnitsBecomeReadyByResidency) {
  Assignment assignment = join(1);
  tell(1, Residency{kEpoch, assignment.version, {assignment.units[0], assignment.units[3]}, {}});
  EXPECT_EQ(membership_->state().units_ready(), 2u);
  tell(1, Residency{kEpoch, assignment.version, {}, {assignment.units[3]}});
  EXPECT_EQ(membership_->state().units_ready(), 1u);
}

TEST_F(MembershipTest, ResidencyOfAnotherAssignmentOrEpochIsIgnored) {
  Assignment first = join(1);
  join(2);  // worker 1 has to give something away
  Assignment second = sent<Assignment>(1).back();
  ASSERT_GT(second.version, first.version);
  tell(1, Residency{kEpoch, first.version, second.units, {}});
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  tell(1, Residency{kEpoch, second.version + 1, second.units, {}});
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  tell(1, Residency{kEpoch - 1, second.version, second.units, {}});
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  tell(1, Residency{kEpoch, second.version, second.units, {}});
  EXPECT_EQ(membership_->state().units_ready(), second.units.size());
}

// A report that got lost, or that another sent in its name, would otherwise never be mended.
TEST_F(MembershipTest, AWorkerThatReportsNothingNewIsToldItsAssignmentAgain) {
  const Assignment assignment = join(1);
  auto quiet = [&](Duration time) {
    for (Duration passed{0}; passed < time; passed += std::chrono::seconds(1)) {
      pass(std::chrono::seconds(1), [&] { tell(1, Heartbeat{kEpoch, 1, false}); });
    }
  };
  const auto told = [&] { return sent<Assignment>(1).size(); };
  forget_sent();
  quiet(StalledDeliveries::kPatience / 2);
  tell(1, Residency{kEpoch, assignment.version, {assignment.units[0]}, {}});
  quiet(StalledDeliveries::kPatience - std::chrono::seconds(2));
  EXPECT_EQ(told(), 0u) << "it makes progress";
  quiet(std::chrono::seconds(5));
  const auto again = sent<Assignment>(1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].version, assignment.version);
  quiet(StalledDeliveries::kPatience + std::chrono::seconds(5));
  EXPECT_EQ(told(), 0u) << "less and less often";
  quiet(StalledDeliveries::kPatience);
  EXPECT_EQ(told(), 1u);
  tell(1, Residency{kEpoch, assignment.version, assignment.units, {}});
  forget_sent();
  quiet(2 * StalledDeliveries::kLongestPatience);
  EXPECT_EQ(told(), 0u) << "it has everything";
}

// A worker whose disk is full keeps what it has; the rest goes elsewhere, and comes back later.
TEST_F(MembershipTest, WhatAWorkerCannotHoldMoves) {
  Assignment first = join(1);
  join(2);
  first = sent<Assignment>(1).back();
  make_ready(2);
  std::vector<UnitId> held(first.units.begin(), first.units.begin() + 6);
  uint64_t bytes = 0;
  for (UnitId unit : held) bytes += unit_bytes(manifest_, unit, 2);
  pass(milliseconds(1500), [&] { tell(2, Heartbeat{kEpoch, 1, false}); });
  forget_sent();
  membership_->take_notices();
  tell(1, Residency{kEpoch, first.version, held, {}, bytes});
  pass(milliseconds(1500), [&] {
    tell(1, Heartbeat{kEpoch, 1, false});
    tell(2, Heartbeat{kEpoch, 1, false});
  });
  EXPECT_TRUE(any_contains(membership_->take_notices(), "has room for no more than"));
  Assignment less = sent<Assignment>(1).back();
  uint64_t assigned = 0;
  for (UnitId unit : less.units) assigned += unit_bytes(manifest_, unit, 2);
  EXPECT_LE(assigned, bytes);
  EXPECT_GT(less.units.size(), 0u);
  EXPECT_EQ(assigned_units(), kUnits);  // the other one has taken the rest
  forget_sent();
  tell(1, Residency{kEpoch, less.version, less.units, {}, Residency::kAnyRoom});
  pass(milliseconds(1500), [&] {
    tell(1, Heartbeat{kEpoch, 1, false});
    tell(2, Heartbeat{kEpoch, 1, false});
  });
  EXPECT_EQ(sent<Assignment>(1).back().units.size(), kUnits / 2);
}

// Saying it over and over costs one placement a second.
TEST_F(MembershipTest, RoomThatChangesAllTheTimeIsLookedAtOnceASecond) {
  Assignment first = join(1);
  join(2);
  forget_sent();
  size_t assignments = 0;
  for (int i = 0; i < 1000; ++i) {
    first.version = membership_->state().worker(peer(1))->assignment_version;
    tell(1, Residency{kEpoch, first.version, {}, {}, uint64_t(4096 + i % 2 * 1'000'000)});
    clock_.advance(milliseconds(2));
    membership_->on_tick();
    assignments += sent<Assignment>(1).size();
    forget_sent();
  }
  EXPECT_LE(assignments, 3u);
  std::vector<LogEvent> notices = membership_->take_notices();
  std::erase_if(notices, [](const LogEvent& event) { return event.level == LogLevel::kDebug; });
  EXPECT_LE(notices.size(), 8u);
}

TEST_F(MembershipTest, UnitsOfOthersAreNotTakenAsReady) {
  join(1);
  Assignment second = join(2);
  Assignment first = sent<Assignment>(1).back();
  membership_->take_notices();
  tell(1, Residency{kEpoch, first.version, second.units, {}});
  EXPECT_EQ(membership_->state().units_ready(), 0u);
  EXPECT_TRUE(any_contains(membership_->take_notices(), "not assigned"));
}

TEST_F(MembershipTest, AllUnitsAreAssignedOnceHoweverManyJoin) {
  for (uint8_t number = 1; number <= 5; ++number) {
    join(number);
    EXPECT_EQ(assigned_units(), kUnits);
    EXPECT_EQ(membership_->state().worker(peer(number))->number, number);
  }
}

// --- delivery from worker to worker ---

TEST_F(MembershipTest, EverybodyLearnsWhoTheOthersAre) {
  for (uint8_t number : kThree) {
    ASSERT_TRUE(allow_list_.add(peer(number), "").ok());
    Hello greeting = hello(number);
    if (number != 2) greeting.bulk_endpoint = "tcp://10.0.0." + std::to_string(number) + ":7";
    tell(number, greeting);
  }
  for (uint8_t number : kThree) {
    std::vector<Roster> rosters = sent<Roster>(number);
    ASSERT_EQ(rosters.size(), 1u) << "several changes are told as one";
    const Roster& last = rosters.back();
    EXPECT_EQ(last.epoch, kEpoch);
    ASSERT_EQ(last.peers.size(), 2u);
    for (const RosterPeer& other : last.peers) {
      EXPECT_NE(other.key, peer(number));
      bool serves = other.key != peer(2);
      EXPECT_EQ(other.bulk_endpoint.empty(), !serves);
      EXPECT_NE(other.name.find("worker-"), std::string::npos);
    }
  }
  tell(3, Goodbye{kEpoch, ""});
  ASSERT_EQ(sent<Roster>(1).size(), 1u);
  ASSERT_EQ(sent<Roster>(2).back().peers.size(), 1u);
  EXPECT_EQ(sent<Roster>(3).size(), 0u);
}

TEST_F(MembershipTest, AnAssignmentNamesThoseWhoHaveTheUnits) {
  for (uint8_t number : kTwo) {
    ASSERT_TRUE(allow_list_.add(peer(number), "").ok());
    Hello greeting = hello(number);
    greeting.bulk_endpoint = "tcp://10.0.0.1:7";
    tell(number, greeting);
  }
  for (uint8_t number : kTwo) make_ready(number);
  std::set<UnitId> of_first = membership_->state().worker(peer(1))->assigned;
  Assignment third = join(3);
  Roster roster = sent<Roster>(3).back();
  EXPECT_EQ(third.roster, roster.version);
  ASSERT_EQ(third.holders.size(), third.units.size());
  ASSERT_GT(third.units.size(), 6u);
  for (size_t i = 0; i < third.units.size(); ++i) {
    ASSERT_EQ(third.holders[i].size(), 1u);
    PeerKey holder = roster.peers.at(third.holders[i][0]).key;
    EXPECT_EQ(holder, of_first.contains(third.units[i]) ? peer(1) : peer(2));
  }
  // What a worker lost it cannot give to others.
  for (uint8_t number : kTwo) {
    uint64_t version = membership_->state().worker(peer(number))->assignment_version;
    tell(number, Residency{kEpoch, version, {}, third.units});
  }
  pause();
  tell(3, hello(3));
  Assignment again = sent<Assignment>(3).back();
  for (size_t i = 0; i < again.units.size(); ++i) {
    EXPECT_TRUE(again.holders[i].empty())
        << again.units[i].layer << " " << again.units[i].expert << " " << again.units[i].slice
        << " " << (again.units == third.units);
  }
}

TEST_F(MembershipTest, HealthIsShownUntilTheWorkerStartsAnew) {
  for (uint8_t number : kThree) join(number);
  membership_->take_notices();
  const WorkerHealth& health = membership_->state().worker(peer(1))->health;
  EXPECT_EQ(health, WorkerHealth{});
  tell(1, HealthReport{kEpoch + 1, 10, "of another life", 5, true, 20});
  EXPECT_EQ(health, WorkerHealth{});
  tell(1, HealthReport{kEpoch, 25, "its battery is at 20 %", 20, true, -1000});
  EXPECT_EQ(health, (WorkerHealth{25, "its battery is at 20 %", 20, true, std::nullopt}));
  EXPECT_TRUE(any_contains(membership_->take_notices(), "lends 25 % of its speed: its battery"));
  tell(1, HealthReport{kEpoch, 25, "its battery is at 19 %", 200, true, 55});
  EXPECT_EQ(health, (WorkerHealth{25, "its battery is at 19 %", std::nullopt, true, 55}));
  EXPECT_TRUE(membership_->take_notices().empty());  // the share is the same
  pause();
  tell(1, hello(1));
  EXPECT_EQ(membership_->state().worker(peer(1))->health, WorkerHealth{});
}

// Told beforehand, its units go to others before it pauses; one that only slows down keeps them.
TEST_F(MembershipTest, APauseThatIsAnnouncedMovesUnitsBeforeItComes) {
  for (uint8_t number : kTwo) {
    join(number);
    make_ready(number);
  }
  pass(std::chrono::seconds(5), [&] {
    for (uint8_t number : kTwo) tell(number, Heartbeat{kEpoch, 1, false});
  });
  membership_->take_notices();
  const auto units_of = [&](uint8_t number) {
    return membership_->state().worker(peer(number))->assigned.size();
  };
  EXPECT_GT(units_of(1), 0u);
  HealthReport report{kEpoch, 100, "it is not being charged", 80, true, 30};
  report.pause_seconds = 20;
  tell(1, report);
  EXPECT_TRUE(any_contains(membership_->take_notices(), "will pause in 20 s: it is not being"));
  EXPECT_EQ(units_of(2), kUnits) << "all of them go to the other one";
  EXPECT_GT(units_of(1), 0u) << "and stay until they are there";
  make_ready(2);
  pass(std::chrono::seconds(5), [&] {
    for (uint8_t number : kTwo) tell(number, Heartbeat{kEpoch, 1, false});
  });
  EXPECT_EQ(units_of(1), 0u);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
  report.pause_seconds = 0;
  report.share = 0;
  tell(1, report);
  EXPECT_EQ(units_of(1), 0u);
  tell(1, HealthReport{kEpoch, 100, "", 80, false, 30});
  EXPECT_GT(units_of(1), 0u) << "its part is to come back";
}

// What memory leaves a device counts for what it gets.
TEST_F(MembershipTest, MemoryThatIsShortIsAFact) {
  join(1);
  HealthReport report{kEpoch, 100, "", 80, false, 30};
  report.use.cache_bytes = 4096;
  tell(1, report);
  const WorkerRecord& record = *membership_->state().worker(peer(1));
  EXPECT_EQ(facts_of(peer(1), record, nullptr).ram_bytes, 4096u);
  report.use.cache_bytes = 0;
  tell(1, report);
  EXPECT_EQ(facts_of(peer(1), record, nullptr).ram_bytes, record.ram_bytes);
}

TEST_F(MembershipTest, WhyThereIsNoRoomIsToldAndShown) {
  const Assignment first = join(1);
  tell(1, Residency{kEpoch, first.version, {}, {}, 4096, "it has written all\nthat it may"});
  EXPECT_TRUE(any_contains(membership_->take_notices(),
                           "room for no more than 4.0 KiB at present, it has written all"));
  EXPECT_NE(membership_->state().worker(peer(1))->room_reason, "");
  EXPECT_EQ(membership_->state().worker(peer(1))->room_reason.find('\n'), std::string::npos);
  tell(1, Residency{kEpoch, first.version, {}, {}, Residency::kAnyRoom});
  EXPECT_EQ(membership_->state().worker(peer(1))->room_reason, "");
}

TEST_F(MembershipTest, SourcesAreShownAndNobodyIsBannedForThem) {
  for (uint8_t number : kThree) join(number);
  membership_->take_notices();
  SourceReport report{kEpoch, 10, 20, {{peer(2), 30, true}, {peer(3), 40, false}}};
  tell(1, report);
  tell(1, report);  // again: the same totals
  const SourceRecord& sources = membership_->state().worker(peer(1))->sources;
  EXPECT_EQ(sources.coordinator_bytes, 10u);
  EXPECT_EQ(sources.file_bytes, 20u);
  EXPECT_EQ(sources.peer_bytes, (std::map<PeerKey, uint64_t>{{peer(2), 30}, {peer(3), 40}}));
  EXPECT_EQ(membership_->state().accusers(peer(2)), 1u);
  EXPECT_EQ(membership_->state().accusers(peer(3)), 0u);
  std::vector<LogEvent> notices = membership_->take_notices();
  EXPECT_EQ(notices.size(), 1u);
  EXPECT_TRUE(any_contains(notices, "sent it wrong bytes"));
  tell(3, report);
  EXPECT_EQ(membership_->state().accusers(peer(2)), 2u);
  EXPECT_TRUE(membership_->is_member(peer(2)));
  report.epoch = kEpoch + 1;
  report.coordinator_bytes = 99;
  tell(1, report);
  EXPECT_EQ(membership_->state().worker(peer(1))->sources.coordinator_bytes, 10u);
  tell(1, Goodbye{kEpoch, ""});  // what a worker says counts while it is there
  EXPECT_EQ(membership_->state().accusers(peer(2)), 1u);
}

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

TEST_F(MembershipTest, AnInvitationAdmitsAKeyOnce) {
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  tell(1, JoinRequest{invitation.secret, "a\nphone"}, Channel::kJoin);
  std::vector<OutgoingMessage> outgoing = membership_->take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(outgoing[0].channel, Channel::kJoin);
  const auto& accept = std::get<JoinAccept>(outgoing[0].message);
  EXPECT_EQ(accept.compute_endpoint, options_.compute_endpoint);
  EXPECT_EQ(accept.bulk_endpoint, options_.bulk_endpoint);
  EXPECT_EQ(accept.signing_key, options_.signing_key);
  EXPECT_TRUE(allow_list_.contains(peer(1)));
  EXPECT_EQ(allow_list_.entries().at(peer(1)).find('\n'), std::string::npos);
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 0u);

  // Another device with the same token.
  tell(2, JoinRequest{invitation.secret, "thief"}, Channel::kJoin);
  std::vector<Refusal> refusals = sent<Refusal>(2);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kInvitation);
  EXPECT_FALSE(allow_list_.contains(peer(2)));
  // The first device again: our answer may have been lost.
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(1).size(), 1u);
}

// Whose coordinator has started again with other ports.
TEST_F(MembershipTest, AMemberNeedsNoInvitationToAskForTheEndpoints) {
  SeededEntropy entropy(4);
  invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  ASSERT_TRUE(allow_list_.add(peer(1), "phone").ok());
  tell(1, JoinRequest{{}, "phone"}, Channel::kJoin);
  std::vector<JoinAccept> accepted = sent<JoinAccept>(1);
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0].compute_endpoint, options_.compute_endpoint);
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
  EXPECT_FALSE(membership_->is_member(peer(1)));  // that takes a Hello
  tell(2, JoinRequest{{}, "stranger"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(2).size(), 0u);
  EXPECT_EQ(sent<Refusal>(2).size(), 1u);
}

TEST_F(MembershipTest, AnInvitationIsNotUsedUpWhenTheListCannotBeSaved) {
  MemoryStorage disk;
  test::FaultyStorage storage(disk);
  auto list = AllowList::load(storage, "members");
  ASSERT_TRUE(list.ok());
  membership_.emplace(options_, manifest_, *list, invitations_, clock_);
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 100, entropy);
  storage.fail_writes("members", 1);
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_NE(refusals[0].message.find("the invitation stays good"), std::string::npos);
  EXPECT_FALSE(list->contains(peer(1)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
  tell(1, JoinRequest{invitation.secret, "phone"}, Channel::kJoin);
  EXPECT_EQ(sent<JoinAccept>(1).size(), 1u);
  EXPECT_TRUE(list->contains(peer(1)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 0u);
}

TEST_F(MembershipTest, WrongAndExpiredInvitationsAreRefused) {
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 10, entropy);
  InvitationSecret guess = invitation.secret;
  guess[31] ^= 1;
  tell(1, JoinRequest{guess, ""}, Channel::kJoin);
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  clock_.advance(std::chrono::seconds(11));
  tell(1, JoinRequest{invitation.secret, ""}, Channel::kJoin);
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  EXPECT_FALSE(allow_list_.contains(peer(1)));
}

TEST_F(MembershipTest, TheJoinChannelKnowsOneVerb) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  tell(1, hello(1), Channel::kJoin);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_EQ(sent<Refusal>(1).size(), 1u);
  SeededEntropy entropy(4);
  Invitation invitation = invitations_.issue(Invitation{}, clock_.unix_seconds() + 10, entropy);
  tell(2, JoinRequest{invitation.secret, ""}, Channel::kCompute);
  EXPECT_FALSE(allow_list_.contains(peer(2)));
  EXPECT_EQ(invitations_.open_count(clock_.unix_seconds()), 1u);
}

TEST_F(MembershipTest, AWorkerThatWantsToLeaveIsRelievedFirst) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  forget_sent();
  const size_t held = membership_->state().worker(peer(1))->ready.size();
  ASSERT_GT(held, 0u);
  tell(1, Goodbye{kEpoch, "battery low", true});
  ASSERT_TRUE(membership_->is_member(peer(1)));
  EXPECT_TRUE(membership_->state().worker(peer(1))->draining);
  EXPECT_EQ(membership_->state().worker(peer(1))->ready.size(), held) << "it still computes";
  EXPECT_EQ(sent<Assignment>(1).size(), 0u);
  std::vector<Assignment> assigned = sent<Assignment>(2);
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].units.size(), kUnits);
  // Said again, it is no second wish.
  tell(1, Goodbye{kEpoch, "battery low", true});
  EXPECT_EQ(sent<Assignment>(2).size(), 0u);
  pass(std::chrono::seconds(3), [&] {
    for (uint8_t number : std::initializer_list<uint8_t>{1, 2})
      tell(number, Heartbeat{kEpoch, 1, false});
  });
  EXPECT_TRUE(membership_->is_member(peer(1))) << "the other one has not fetched anything yet";
  EXPECT_EQ(sent<Goodbye>(1).size(), 0u);

  make_ready(2);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_EQ(sent<Goodbye>(1).size(), 1u);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
  EXPECT_EQ(membership_->take_reset_workers(), std::vector<PeerKey>{peer(1)});
}

TEST_F(MembershipTest, AWorkerThatLeavesGetsNothingMore) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  tell(1, Goodbye{kEpoch, "", true});
  forget_sent();
  join(3);
  EXPECT_EQ(sent<Assignment>(1).size(), 0u);
  EXPECT_FALSE(membership_->state().worker(peer(3))->assigned.empty());
  for (uint8_t number : std::initializer_list<uint8_t>{2, 3}) make_ready(number);
  EXPECT_FALSE(membership_->is_member(peer(1)));
  // Back again, it is a worker like others.
  pause();
  join(1);
  EXPECT_FALSE(membership_->state().worker(peer(1))->draining);
  EXPECT_FALSE(membership_->state().worker(peer(1))->assigned.empty());
}

TEST_F(MembershipTest, NobodyWaitsForOthersThatAreNotThere) {
  join(1);
  make_ready(1);
  tell(1, Goodbye{kEpoch, "", true});
  EXPECT_FALSE(membership_->is_member(peer(1))) << "there is nobody who could take over";
  EXPECT_EQ(sent<Goodbye>(1).size(), 1u);
}

TEST_F(MembershipTest, TheLastTwoMayLeaveAtTheSameTime) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  tell(1, Goodbye{kEpoch, "", true});
  tell(2, Goodbye{kEpoch, "", true});
  EXPECT_EQ(membership_->state().workers().size(), 0u);
}

TEST_F(MembershipTest, WhoDoesNotWaitToBeRelievedIsGone) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  tell(1, Goodbye{kEpoch, "", true});
  tell(1, Goodbye{kEpoch, "in a hurry"});
  EXPECT_FALSE(membership_->is_member(peer(1)));
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
}

TEST_F(MembershipTest, ARevokedDeviceIsToldAndIsNoMember) {
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) join(number);
  for (uint8_t number : std::initializer_list<uint8_t>{1, 2}) make_ready(number);
  forget_sent();
  membership_->revoke(peer(1));
  EXPECT_FALSE(membership_->is_member(peer(1)));
  std::vector<Refusal> refusals = sent<Refusal>(1);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::kInvitation);
  EXPECT_EQ(membership_->state().worker(peer(2))->assigned.size(), kUnits);
  // What it says afterwards, before its connection ends.
  ASSERT_TRUE(allow_list_.remove(peer(1)).ok());
  tell(1, hello(1));
  EXPECT_FALSE(membership_->is_member(peer(1)));
}

TEST_F(MembershipTest, AnAdmittedDeviceIsToldWhereToConnect) {
  ASSERT_TRUE(membership_->admit_device(peer(1), "phone").ok());
  EXPECT_TRUE(allow_list_.contains(peer(1)));
  std::vector<JoinAccept> accepts = sent<JoinAccept>(1);
  ASSERT_EQ(accepts.size(), 1u);
  EXPECT_EQ(accepts[0].signing_key, options_.signing_key);
}

TEST_F(MembershipTest, OtherVerbsAreNotForUs) {
  EXPECT_FALSE(membership_->on_message(peer(1), Channel::kCompute, Partial{}));
  EXPECT_FALSE(membership_->on_message(peer(1), Channel::kCompute, Welcome{}));
  EXPECT_FALSE(membership_->on_message(peer(1), Channel::kBulk, FetchManifest{}));
}

TEST_F(MembershipTest, AProbeIsABeatForMembersOnly) {
  join(1);
  forget_sent();
  membership_->probe(peer(1));
  membership_->probe(peer(2));
  EXPECT_EQ(sent<Heartbeat>(1).size(), 1u);
  EXPECT_EQ(sent<Heartbeat>(2).size(), 0u);
}

TEST_F(MembershipTest, NoticesAreBounded) {
  for (int i = 0; i < 10'000; ++i) tell(1, hello(1));
  std::vector<LogEvent> notices = membership_->take_notices();
  EXPECT_LT(notices.size(), 1000u);
  EXPECT_TRUE(any_contains(notices, "more notices"));
}

}  // namespace
}  // namespace potluck
