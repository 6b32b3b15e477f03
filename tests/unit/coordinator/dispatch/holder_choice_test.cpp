// Which holder is asked for what.
#include "coordinator/dispatch/holder_choice.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using std::chrono::seconds;
using test::peer;

constexpr uint32_t kLayer = 3;

struct Pool {
  ClusterState cluster;
  WorkerTracks tracks;
  CallQueues queues;

  // A worker that has these experts' only slice ready.
  void add(uint8_t number, const std::vector<uint16_t>& experts) {
    std::vector<UnitId> units;
    for (uint16_t expert : experts) units.push_back({kLayer, expert, 0});
    cluster.apply(WorkerJoined{peer(number), number, "w", "", 0, 0});
    cluster.apply(UnitsAssigned{peer(number), number, units});
    cluster.apply(UnitsReady{peer(number), units});
  }
  HolderView view(std::span<const PeerKey> except = {}) const {
    return {cluster, tracks, queues, 1, seconds(10), except};
  }
};

// Each expert once for each number of the row that names it.
RowCalls calls_of(const std::vector<std::vector<uint16_t>>& rows) {
  RowCalls calls;
  for (uint32_t row = 0; row < rows.size(); ++row) {
    for (uint16_t expert : rows[row]) calls.push_back({row, expert, 0, 0.5F});
  }
  return calls;
}

RowCalls share_of(const Distribution& chosen, uint8_t number) {
  for (const Distribution::Share& share : chosen.shares()) {
    if (share.worker == peer(number)) return share.calls;
  }
  return {};
}

TEST(HolderChoice, CallsGoToTheHolderInTheirOrder) {
  Pool pool;
  pool.add(1, {0, 1});
  pool.add(2, {2});
  RowCalls calls = calls_of({{2, 0}, {1, 2}});
  Distribution chosen = choose_holders(pool.view(), kLayer, calls);
  EXPECT_EQ(share_of(chosen, 1), (RowCalls{calls[1], calls[2]}));
  EXPECT_EQ(share_of(chosen, 2), (RowCalls{calls[0], calls[3]}));
  EXPECT_TRUE(chosen.held_by_nobody().empty());
  ASSERT_EQ(chosen.units().size(), 3u);
  EXPECT_EQ(chosen.units()[0].id, (UnitId{kLayer, 2, 0}));
  EXPECT_EQ(chosen.units()[0].calls, 2u);
}

TEST(HolderChoice, AWorkerThatLendsLessGetsLess) {
  Pool pool;
  const std::vector<uint16_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  pool.add(1, all);
  pool.add(2, all);
  pool.cluster.apply(HealthReported{peer(1), {50, "", {}, false, {}}});
  RowCalls calls = calls_of({all});
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls), 1).size(), 3u);
  pool.cluster.apply(HealthReported{peer(1), {0, "", {}, true, {}}});
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls), 2).size(), 9u);
  pool.add(1, {10});  // what it alone holds is asked of it all the same
  RowCalls its_own = calls_of({{10}});
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, its_own), 1).size(), 1u);
}

TEST(HolderChoice, WhatNobodyHoldsInThisLayerIsLeftOver) {
  Pool pool;
  pool.add(1, {0});
  RowCalls calls = calls_of({{0, 5}});
  Distribution chosen = choose_holders(pool.view(), kLayer, calls);
  EXPECT_EQ(chosen.held_by_nobody(), RowCalls{calls[1]});
  EXPECT_EQ(choose_holders(pool.view(), kLayer + 1, calls).held_by_nobody(), calls);
}

TEST(HolderChoice, TheHolderWithTheFewestCallsIsChosen) {
  Pool pool;
  pool.add(1, {0, 1, 2});
  pool.add(2, {0, 1, 2});
  // Expert 0 has three rows, then 1 and 2 have one each: they go to the other one.
  Distribution chosen = choose_holders(pool.view(), kLayer, calls_of({{0, 1}, {0, 2}, {0}}));
  EXPECT_EQ(share_of(chosen, 1).size(), 3u);
  EXPECT_EQ(share_of(chosen, 2).size(), 2u);
}

TEST(HolderChoice, AmongEqualsTheLowestNumberIsChosen) {
  Pool pool;
  pool.add(7, {0});
  pool.add(3, {0});
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls_of({{0}})), 3).size(), 1u);
}

TEST(HolderChoice, AHolderThatRestsOrHasFailedTheseCallsIsNotChosen) {
  Pool pool;
  pool.add(1, {0});
  pool.add(2, {0});
  RowCalls calls = calls_of({{0}});
  PeerKey first = peer(1);
  EXPECT_EQ(share_of(choose_holders(pool.view({&first, 1}), kLayer, calls), 2), calls);
  pool.tracks[peer(1)].answered_badly(seconds(10));
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls), 2), calls);
  PeerKey second = peer(2);
  EXPECT_EQ(choose_holders(pool.view({&second, 1}), kLayer, calls).held_by_nobody(), calls);
}

// What other batches have put upon a worker counts as well, sent or waiting.
TEST(HolderChoice, WhatAWorkerOwesCounts) {
  Pool pool;
  pool.add(1, {0, 1});
  pool.add(2, {0, 1});
  RowCalls calls = calls_of({{0}, {0}});
  AskedMessage asked = pool.tracks[peer(1)].asked(seconds(10), 1, 3, 100);
  EXPECT_EQ(calls_ahead(pool.view(), peer(1)), 3u);
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls), 2), calls);
  WaitingCalls waiting;
  waiting.calls = calls_of({{0, 1}, {0, 1}});
  pool.queues.add(peer(2), waiting);
  EXPECT_EQ(share_of(choose_holders(pool.view(), kLayer, calls), 1), calls);
  pool.tracks[peer(1)].settled(asked);
  EXPECT_EQ(calls_ahead(pool.view(), peer(1)), 0u);
}

TEST(HolderChoice, AReluctantHolderIsChosenWhereNobodyElseIs) {
  Pool pool;
  pool.add(1, {0, 1});
  pool.add(2, {0});
  AskedMessage asked = pool.tracks[peer(1)].asked(seconds(10), 1, 1, 100);
  pool.tracks[peer(1)].became_late(&asked);
  // The other one has more to do, but is not late.
  pool.tracks[peer(2)].asked(seconds(10), 1, 9, 100);
  RowCalls calls = calls_of({{0, 1}});
  Distribution chosen = choose_holders(pool.view(), kLayer, calls);
  EXPECT_EQ(share_of(chosen, 2), RowCalls{calls[0]});
  EXPECT_EQ(share_of(chosen, 1), RowCalls{calls[1]});
  HolderView gladly = pool.view();
  gladly.least = Willingness::kGladly;
  EXPECT_EQ(choose_holders(gladly, kLayer, calls).held_by_nobody(), RowCalls{calls[1]});
}

TEST(HolderChoice, NobodyHasMoreAheadThanTheBound) {
  Pool pool;
  pool.add(1, {0});
  RowCalls calls = calls_of({{0}});
  auto most = static_cast<uint32_t>(kMostCallsAhead);
  pool.tracks[peer(1)].asked(seconds(10), 1, most, 100);
  EXPECT_EQ(choose_holders(pool.view(), kLayer, calls).held_by_nobody(), calls);
}

TEST(HolderChoice, NothingIsAskedNothingIsChosen) {
  Pool pool;
  pool.add(1, {0});
  Distribution chosen = choose_holders(pool.view(), kLayer, {});
  EXPECT_TRUE(chosen.shares().empty());
  EXPECT_TRUE(chosen.units().empty());
}

// Used memory changes nothing, every call is in exactly one place, and all of a unit's together.
TEST(HolderChoice, IsAFunctionOfWhatItIsGiven) {
  Distribution memory;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CounterRandom random(seed);
    Pool pool;
    for (uint8_t number = 1; number <= 5; ++number) {
      std::vector<uint16_t> experts;
      for (uint16_t expert = 0; expert < 12; ++expert) {
        if (random.bits(expert, number) % 3 == 0) experts.push_back(expert);
      }
      pool.add(number, experts);
      if (random.bits(number, 20) % 4 == 0) pool.tracks[peer(number)].answered_badly(seconds(10));
    }
    std::vector<std::vector<uint16_t>> rows(random.bits(1, 30) % 9);
    for (size_t row = 0; row < rows.size(); ++row) {
      for (uint16_t expert = 0; expert < 12; ++expert) {
        if (random.bits(row, 40u + expert) % 4 == 0) rows[row].push_back(expert);
      }
    }
    RowCalls calls = calls_of(rows);
    Distribution fresh = choose_holders(pool.view(), kLayer, calls);
    memory = choose_holders(pool.view(), kLayer, calls, std::move(memory));
    EXPECT_EQ(fresh.held_by_nobody(), memory.held_by_nobody());
    ASSERT_EQ(fresh.shares().size(), memory.shares().size());
    size_t placed = fresh.held_by_nobody().size();
    std::set<uint16_t> taken;
    for (size_t i = 0; i < fresh.shares().size(); ++i) {
      const Distribution::Share& share = fresh.shares()[i];
      EXPECT_EQ(share.worker, memory.shares()[i].worker);
      EXPECT_EQ(share.calls, memory.shares()[i].calls);
      placed += share.calls.size();
      std::set<uint16_t> experts;
      for (const RowCall& call : share.calls) experts.insert(call.expert);
      for (uint16_t expert : experts) EXPECT_TRUE(taken.insert(expert).second);
    }
    EXPECT_EQ(placed, calls.size());
  }
}

}  // namespace
}  // namespace potluck
