#include "coordinator/cluster/membership.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::any_contains;
using test::MembershipTest;
using test::peer;

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
