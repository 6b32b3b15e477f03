#include "coordinator/cluster/cluster_state.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;

constexpr UnitId kUnitA{0, 0, 0};
constexpr UnitId kUnitB{0, 1, 0};
constexpr UnitId kUnitC{2, 0, 1};

std::vector<PeerKey> holders(const ClusterState& state, UnitId unit) {
  auto keys = state.holders(unit);
  return {keys.begin(), keys.end()};
}

ClusterState two_workers() {
  ClusterState state;
  // The one with the larger key joined first.
  state.apply(WorkerJoined{peer(9), 1, "first", "potluck", 10, 20});
  state.apply(WorkerJoined{peer(3), 2, "second", "potluck", 10, 20});
  state.apply(UnitsAssigned{peer(9), 1, {kUnitA, kUnitB}});
  state.apply(UnitsAssigned{peer(3), 2, {kUnitB, kUnitC}});
  return state;
}

TEST(ClusterState, StartsEmpty) {
  ClusterState state;
  EXPECT_TRUE(state.workers().empty());
  EXPECT_EQ(state.worker(peer(1)), nullptr);
  EXPECT_TRUE(state.holders(kUnitA).empty());
  EXPECT_EQ(state.units_assigned(), 0u);
  EXPECT_EQ(state.units_ready(), 0u);
}

TEST(ClusterState, PeersAreNamedAsPeopleKnowThem) {
  ClusterState state = two_workers();
  EXPECT_EQ(state.describe(peer(3)), "worker 2 (second, " + peer(3).brief() + ")");
  EXPECT_EQ(state.describe(peer(4)), "peer " + peer(4).brief());
}

TEST(ClusterState, AUnitHasHoldersOnceItIsReady) {
  ClusterState state = two_workers();
  EXPECT_EQ(state.units_assigned(), 4u);
  EXPECT_TRUE(holders(state, kUnitB).empty());
  state.apply(UnitsReady{peer(3), {kUnitB}});
  EXPECT_EQ(holders(state, kUnitB), std::vector{peer(3)});
  state.apply(UnitsReady{peer(9), {kUnitB, kUnitA}});
  // In order of their numbers, not of their keys or of becoming ready.
  EXPECT_EQ(holders(state, kUnitB), (std::vector{peer(9), peer(3)}));
  EXPECT_EQ(state.units_ready(), 3u);
  EXPECT_EQ(state.worker(peer(9))->ready.size(), 2u);
}

TEST(ClusterState, UnitsThatAreNotAssignedDoNotBecomeReady) {
  ClusterState state = two_workers();
  state.apply(UnitsReady{peer(9), {kUnitC}});
  EXPECT_TRUE(holders(state, kUnitC).empty());
  EXPECT_EQ(state.units_ready(), 0u);
}

TEST(ClusterState, ReadyTwiceIsReadyOnce) {
  ClusterState state = two_workers();
  state.apply(UnitsReady{peer(9), {kUnitA, kUnitA}});
  state.apply(UnitsReady{peer(9), {kUnitA}});
  EXPECT_EQ(holders(state, kUnitA).size(), 1u);
  state.apply(UnitsLost{peer(9), {kUnitA}});
  EXPECT_TRUE(holders(state, kUnitA).empty());
  EXPECT_TRUE(state.worker(peer(9))->assigned.contains(kUnitA));
}

TEST(ClusterState, ANewAssignmentKeepsWhatIsReadyAndStaysAssigned) {
  ClusterState state = two_workers();
  state.apply(UnitsReady{peer(9), {kUnitA, kUnitB}});
  state.apply(UnitsAssigned{peer(9), 7, {kUnitB, kUnitC}});
  EXPECT_EQ(state.worker(peer(9))->assignment_version, 7u);
  EXPECT_TRUE(holders(state, kUnitA).empty());
  EXPECT_EQ(holders(state, kUnitB), std::vector{peer(9)});
  EXPECT_TRUE(holders(state, kUnitC).empty());
}

TEST(ClusterState, ALostWorkerHoldsNothing) {
  ClusterState state = two_workers();
  state.apply(UnitsReady{peer(9), {kUnitA, kUnitB}});
  state.apply(UnitsReady{peer(3), {kUnitB}});
  state.apply(WorkerLost{peer(9), "gone"});
  EXPECT_EQ(state.worker(peer(9)), nullptr);
  EXPECT_TRUE(holders(state, kUnitA).empty());
  EXPECT_EQ(holders(state, kUnitB), std::vector{peer(3)});
  EXPECT_EQ(state.workers_lost(), 1u);
}

TEST(ClusterState, JoiningAgainForgetsWhatWasReady) {
  ClusterState state = two_workers();
  state.apply(UnitsReady{peer(9), {kUnitA}});
  state.apply(WorkerJoined{peer(9), 1, "renamed", "potluck 2", 11, 21});
  EXPECT_TRUE(holders(state, kUnitA).empty());
  const WorkerRecord& record = *state.worker(peer(9));
  EXPECT_EQ(record.name, "renamed");
  EXPECT_EQ(record.disk_bytes, 21u);
  EXPECT_EQ(record.assigned.size(), 2u);
  EXPECT_EQ(state.workers_lost(), 0u);
}

TEST(ClusterState, EventsAboutStrangersChangeNothing) {
  ClusterState state = two_workers();
  ClusterState before = state;
  state.apply(UnitsAssigned{peer(5), 1, {kUnitA}});
  state.apply(UnitsReady{peer(5), {kUnitA}});
  state.apply(UnitsLost{peer(5), {kUnitA}});
  state.apply(WorkerLost{peer(5), "never was here"});
  EXPECT_EQ(state, before);
}

// After any event, the holders are exactly the workers that have the unit ready.
TEST(ClusterState, HoldersAgreeWithRecordsAfterRandomEvents) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    ClusterState state;
    std::vector<ClusterEvent> events;
    for (uint64_t step = 0; step < 300; ++step) {
      PeerKey key = peer(static_cast<uint8_t>(random.bits(step, 0) % 5));
      std::vector<UnitId> units;
      for (uint64_t i = 0; i < 4; ++i) {
        units.push_back({0, static_cast<uint16_t>(random.bits(step, 10 + i) % 8), 0});
      }
      switch (random.bits(step, 1) % 8) {
        case 0:
          events.push_back(WorkerJoined{key, static_cast<uint32_t>(step + 1), "w", "", 1, 1});
          break;
        case 1:
          events.push_back(WorkerLost{key, ""});
          break;
        case 2:
        case 3:
          events.push_back(UnitsAssigned{key, step, units});
          break;
        case 4:
          events.push_back(UnitsLost{key, units});
          break;
        default:
          events.push_back(UnitsReady{key, units});
      }
      state.apply(events.back());
      for (uint16_t expert = 0; expert < 8; ++expert) {
        UnitId unit{0, expert, 0};
        std::map<uint32_t, PeerKey> expected;
        for (const auto& [worker, record] : state.workers()) {
          if (record.ready.contains(unit)) expected.emplace(record.number, worker);
        }
        std::vector<PeerKey> in_order;
        for (const auto& [number, worker] : expected) in_order.push_back(worker);
        ASSERT_EQ(holders(state, unit), in_order) << "step " << step;
      }
    }
    ClusterState replayed;
    for (const ClusterEvent& event : events) replayed.apply(event);
    EXPECT_EQ(replayed, state);
  }
}

TEST(ClusterState, KeepersStayWhenUnitsMoveAndGoWithTheirWorkers) {
  ClusterState state;
  UnitId unit{0, 0, 0};
  for (uint8_t number : {uint8_t{1}, uint8_t{2}}) {
    state.apply(WorkerJoined{peer(number), number, "w", "", 1, 1});
    state.apply(UnitsAssigned{peer(number), 1, {unit}});
    state.apply(UnitsReady{peer(number), {unit}});
  }
  auto keepers = [&] {
    auto span = state.keepers(unit);
    return std::vector<PeerKey>(span.begin(), span.end());
  };
  EXPECT_EQ(keepers(), (std::vector{peer(1), peer(2)}));
  state.apply(UnitsAssigned{peer(1), 2, {}});
  EXPECT_EQ(state.holders(unit).size(), 1u);
  EXPECT_EQ(keepers(), (std::vector{peer(1), peer(2)}));  // it is still on the disk
  state.apply(WorkerJoined{peer(1), 1, "w", "", 1, 1});
  EXPECT_EQ(keepers(), (std::vector{peer(1), peer(2)}));
  state.apply(UnitsLost{peer(2), {unit}});
  EXPECT_EQ(keepers(), (std::vector{peer(1)}));
  state.apply(WorkerLost{peer(1), "gone"});
  EXPECT_TRUE(keepers().empty());
}

}  // namespace
}  // namespace potluck
