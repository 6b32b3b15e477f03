// Units that move: make before break, shares by speed, replicas.
#include <set>

#include <gtest/gtest.h>

#include "coordinator/cluster/membership.h"
#include "tests/unit/coordinator/cluster/membership_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::any_contains;
using test::MembershipTest;
using test::peer;

constexpr uint8_t kFirstTwo[] = {1, 2};
constexpr uint8_t kFirstThree[] = {1, 2, 3};

class MembershipMoves : public MembershipTest {
 protected:
  void start(uint32_t replicas) {
    options_.replicas = replicas;
    membership_.emplace(options_, manifest_, allow_list_, invitations_, clock_);
  }
  const std::set<UnitId>& assigned(uint8_t number) const {
    return membership_->state().worker(peer(number))->assigned;
  }
  void live(Duration time, std::initializer_list<uint8_t> workers) {
    pass(time, [&] {
      for (uint8_t number : workers) tell(number, Heartbeat{kEpoch, 1, false});
    });
  }
  void say_speed(uint8_t number, double factor) {
    auto rate = [factor](double of_one) { return static_cast<uint64_t>(of_one * factor); };
    tell(number, DeviceSpeed{kEpoch, 4, rate(1e9), {{TensorType::kF32, rate(1e10), rate(4e10)}}});
  }
};

TEST_F(MembershipMoves, AHolderKeepsAUnitUntilTheNextOneIsReady) {
  join(1);
  make_ready(1);
  Assignment second = join(2);
  EXPECT_EQ(second.units.size(), kUnits / 2);
  EXPECT_EQ(assigned(1).size(), kUnits) << "it gives nothing away yet";
  live(seconds(10), {1, 2});
  EXPECT_EQ(assigned(1).size(), kUnits);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
  std::vector<UnitId> some(second.units.begin(), second.units.begin() + 5);
  tell(2, Residency{kEpoch, second.version, some, {}});
  live(seconds(3), {1, 2});
  EXPECT_EQ(assigned(1).size(), kUnits - 5);
  for (UnitId unit : some) EXPECT_FALSE(assigned(1).contains(unit));
  for (UnitId unit : second.units) EXPECT_GE(membership_->state().holders(unit).size(), 1u);
  make_ready(2);
  live(seconds(3), {1, 2});
  EXPECT_EQ(assigned(1).size(), kUnits / 2);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
}

TEST_F(MembershipMoves, ANextHolderThatGoesLeavesEverythingAsItWas) {
  join(1);
  make_ready(1);
  join(2);
  tell(2, Goodbye{kEpoch, ""});
  EXPECT_EQ(assigned(1).size(), kUnits);
  EXPECT_EQ(membership_->state().units_ready(), kUnits);
}

TEST_F(MembershipMoves, AFullDiskKeepsNothingForOthers) {
  ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
  Hello small = hello(1);
  small.disk_bytes = manifest_.total_bytes();
  tell(1, small);
  make_ready(1);
  join(2);
  join(3);
  uint64_t bytes = 0;
  for (UnitId unit : assigned(1)) bytes += unit_bytes(manifest_, unit, 2);
  EXPECT_LE(bytes, small.disk_bytes);
}

TEST_F(MembershipMoves, AUnitThatWasOnlyKeptIsNotFetchedAgain) {
  join(1);
  make_ready(1);
  Assignment second = join(2);
  UnitId unit = second.units.front();
  uint64_t version = membership_->state().worker(peer(1))->assignment_version;
  tell(1, Residency{kEpoch, version, {}, {unit}});
  EXPECT_FALSE(assigned(1).contains(unit));
}

TEST_F(MembershipMoves, UnitsFollowWhatWorkersSayOfThemselves) {
  join(1);
  join(2);
  say_speed(1, 1);
  say_speed(2, 3);
  EXPECT_EQ(assigned(1).size(), kUnits / 2) << "looked at together, a little later";
  live(seconds(2), {1, 2});
  EXPECT_LT(assigned(1).size(), kUnits / 3);
  EXPECT_EQ(assigned_units(), kUnits);
}

TEST_F(MembershipMoves, ALittleDifferenceMovesNothing) {
  join(1);
  join(2);
  say_speed(1, 1);
  say_speed(2, 1.1);
  for (uint8_t number : kFirstTwo) make_ready(number);
  forget_sent();
  live(seconds(70), {1, 2});
  say_speed(2, 1.2);
  live(seconds(70), {1, 2});
  EXPECT_TRUE(sent<Assignment>(1).empty());
  EXPECT_TRUE(sent<Assignment>(2).empty());
}

TEST_F(MembershipMoves, ASlowWorkerIsLeftOutAndToldOf) {
  for (uint8_t number : kFirstThree) join(number);
  say_speed(1, 1);
  say_speed(2, 1);
  say_speed(3, 0.01);
  live(seconds(2), {1, 2, 3});
  EXPECT_TRUE(assigned(3).empty());
  EXPECT_NE(membership_->shares().left_out(peer(3)), "");
  EXPECT_EQ(membership_->shares().left_out(peer(1)), "");
  EXPECT_EQ(assigned_units(), kUnits);
  // Without the others it has to do.
  tell(1, Goodbye{kEpoch, ""});
  tell(2, Goodbye{kEpoch, ""});
  live(seconds(2), {3});
  EXPECT_EQ(assigned(3).size(), kUnits);
}

TEST_F(MembershipMoves, SpeedOfAnotherEpochOrBeyondAllDevices) {
  join(1);
  tell(1, DeviceSpeed{kEpoch - 1, 4, 1000, {}});
  EXPECT_EQ(membership_->state().worker(peer(1))->facts, DeviceFacts{});
  constexpr uint64_t kHuge = ~uint64_t{0};
  tell(1,
       DeviceSpeed{kEpoch, ~0u, kHuge, {{TensorType::kF32, kHuge, kHuge}, {TensorType{77}, 1, 1}}});
  const DeviceFacts& facts = membership_->state().worker(peer(1))->facts;
  EXPECT_LE(facts.threads, limits::kThreads);
  EXPECT_LT(facts.disk_rate, 1e14);
  ASSERT_EQ(facts.products.size(), 1u) << "of formats that the model uses";
  EXPECT_LT(facts.products[0].one_row, uint64_t{1} << 50);
}

// A newcomer that turns out to be slow is not to fetch a part that it will not keep.
TEST_F(MembershipMoves, ANewcomersSpeedIsLookedAtBeforeItHasFetchedItsPart) {
  join(1);
  say_speed(1, 1);
  make_ready(1);
  live(seconds(3), {1});
  EXPECT_EQ(join(2).units.size(), kUnits / 2);
  say_speed(2, 0.2);
  live(seconds(2), {1, 2});
  EXPECT_LT(assigned(2).size(), kUnits / 3);
}

// However often it says something else.
TEST_F(MembershipMoves, SpeedThatChangesAllTheTimeIsLookedAtOnceASecond) {
  join(1);
  join(2);
  say_speed(2, 1);
  forget_sent();
  size_t assignments = 0;
  for (int i = 0; i < 1000; ++i) {
    say_speed(1, i % 2 == 0 ? 1 : 100);
    clock_.advance(milliseconds(2));
    membership_->on_tick();
    assignments += sent<Assignment>(1).size();
  }
  EXPECT_LE(assignments, 3u);
}

TEST_F(MembershipMoves, EveryUnitHasAsManyHoldersAsAskedFor) {
  start(2);
  for (uint8_t number : kFirstThree) join(number);
  EXPECT_EQ(assigned_units(), 2 * kUnits);
  for (uint8_t number : kFirstThree) make_ready(number);
  live(seconds(3), {1, 2, 3});
  for (UnitId unit : assigned(1)) EXPECT_EQ(membership_->state().holders(unit).size(), 2u);
  // Who has a copy of what another one had computes it at once.
  forget_sent();
  tell(3, Goodbye{kEpoch, ""});
  for (uint8_t number : kFirstTwo) {
    for (UnitId unit : assigned(number)) {
      EXPECT_GE(membership_->state().holders(unit).size(), 1u);
    }
  }
  EXPECT_EQ(assigned_units(), 2 * kUnits);
}

TEST_F(MembershipMoves, TheCoordinatorsOwnExpertsGoToNobody) {
  options_.own.emplace();
  options_.own->local = true;
  options_.own->ram_bytes = manifest_.total_bytes() / 2;
  start(2);
  for (uint8_t number : kFirstTwo) join(number);
  const ClusterState& state = membership_->state();
  size_t own = 0;
  for (const ManifestLayer& layer : manifest_.layers()) {
    for (uint32_t expert = 0; expert < layer.experts; ++expert) {
      own += state.is_own(layer.layer, expert) ? 1 : 0;
    }
  }
  EXPECT_EQ(own, 3u) << "a quarter of six, rounded down, in each of three layers";
  EXPECT_EQ(assigned_units(), 2 * (kUnits - 2 * own));
  for (uint8_t number : kFirstTwo) {
    for (UnitId unit : assigned(number)) EXPECT_FALSE(state.is_own(unit.layer, unit.expert));
  }
}

TEST_F(MembershipMoves, TheNextTickIsNeverLaterThanALookOrARelease) {
  join(1);
  make_ready(1);
  join(2);
  EXPECT_LE(membership_->next_tick(), clock_.now() + kReleaseInterval);
  say_speed(1, 1);
  say_speed(2, 5);
  EXPECT_LE(membership_->next_tick(), clock_.now() + kHeartbeatInterval);
}

}  // namespace
}  // namespace potluck
