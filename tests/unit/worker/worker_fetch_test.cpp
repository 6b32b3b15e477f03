// Assignments and what follows from them: fetching, faults, restarts, the quota.
#include <algorithm>
#include <set>

#include "engine/base/format_bytes.h"
#include "tests/unit/worker/worker_harness.h"
#include "worker/unit_table.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Test;

class WorkerFetch : public Test {
 protected:
  uint32_t ready(WorkerHarness& bench) { return bench.core().status().at(0).units_ready; }
  uint32_t ready() { return ready(worker); }

  // Time passes under a coordinator that beats and delivers.
  void live(Duration time, bool deliver = true) {
    for (Duration passed{0}; passed < time; passed += seconds(1)) {
      worker.pass(std::min<Duration>(seconds(1), time - passed));
      coordinator.say(Heartbeat{coordinator.epoch, 1, false});
      if (deliver) coordinator.serve_bulk();
    }
  }
  std::vector<UnitId> some_units(size_t count) {
    std::vector<UnitId> units = model.units(1);
    units.resize(count);
    return units;
  }
  uint64_t grain_count(const std::vector<UnitId>& units) {
    uint64_t grains = 0;
    for (UnitId unit : units) grains += model.manifest().layer(unit.layer)->plan.grains;
    return grains;
  }
  std::string all_from_the_coordinator() {
    std::string size = format_bytes(worker.store().used_bytes());
    return "fetched " + size + ": " + size + " from the coordinator\n";
  }

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerFetch, FetchesExactlyWhatIsAssigned) {
  coordinator.admit();
  coordinator.assign(1, 4, {{0, 1, 2}, {5, 3, 0}});
  coordinator.serve_bulk();
  std::set<GrainId> expected;
  for (auto [layer, expert, slice] : {UnitId{0, 1, 2}, UnitId{5, 3, 0}}) {
    uint32_t grains = model.manifest().layer(layer)->plan.grains;
    for (uint32_t g = slice * grains / 4; g < (slice + 1) * grains / 4; ++g) {
      expected.insert({layer, expert, static_cast<uint16_t>(g)});
    }
  }
  const auto& asked = coordinator.grains_asked();
  EXPECT_EQ(std::set<GrainId>(asked.begin(), asked.end()), expected);
  EXPECT_EQ(asked.size(), expected.size());
  EXPECT_EQ(worker.store().count(), expected.size());
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.epoch, coordinator.epoch);
  EXPECT_EQ(report.message.version, 1u);
  EXPECT_EQ(report.message.ready, (std::vector<UnitId>{{0, 1, 2}, {5, 3, 0}}));
  EXPECT_TRUE(report.message.lost.empty());
  EXPECT_EQ(worker.notices(), all_from_the_coordinator());
  EXPECT_EQ(worker.core().status()[0].bytes_fetched, worker.store().used_bytes());
  EXPECT_EQ(worker.core().status()[0].sources.coordinator, worker.store().used_bytes());
}

TEST_F(WorkerFetch, AsksForAFewGrainsAtATime) {
  coordinator.admit();
  coordinator.assign(1, 1, model.units(1));
  size_t rounds = 0;
  for (size_t served = coordinator.serve_asked(); served > 0; served = coordinator.serve_asked()) {
    EXPECT_LE(served, limits::kBulkPartsAsked);
    ++rounds;
  }
  EXPECT_GE(rounds, grain_count(model.units(1)) / limits::kBulkPartsAsked);
  EXPECT_EQ(ready(), model.units(1).size());
}

TEST_F(WorkerFetch, ReportsInBatchesAndAtOnceWhenAllIsReady) {
  coordinator.admit();
  coordinator.assign(1, 1, model.units(1));
  coordinator.serve_bulk();  // the clock stands still
  auto reports = worker.take<Residency>(coordinator.key());
  ASSERT_LE(reports.size(), 2u);  // the first unit, and all the others with the last
  size_t units = 0;
  for (const auto& report : reports) units += report.message.ready.size();
  EXPECT_EQ(units, model.units(1).size());
}

TEST_F(WorkerFetch, ReportsWhatIsReadyAfterAWhile) {
  coordinator.admit();
  coordinator.assign(1, 1, some_units(3));
  while (ready() < 2) coordinator.serve_asked();
  coordinator.tamper = [](BulkData&, ByteVector&) { return false; };
  worker.forget_actions();
  worker.pass(milliseconds(50));
  EXPECT_LE(worker.take<Residency>(coordinator.key()).size(), 1u);
  worker.pass(milliseconds(500));
  EXPECT_EQ(worker.take<Residency>(coordinator.key()).size(), 0u);  // nothing new
}

TEST_F(WorkerFetch, RestartsWithEverythingThere) {
  coordinator.fill(2, model.units(2));
  size_t asked = coordinator.grains_asked().size();
  worker.restart();
  coordinator.admit();
  coordinator.assign(1, 2, model.units(2));
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.ready.size(), model.units(2).size());
  coordinator.serve_bulk();
  EXPECT_EQ(coordinator.grains_asked().size(), asked);
  EXPECT_EQ(worker.core().status()[0].bytes_fetched, 0u);
  // Another cut of the same experts needs nothing either.
  coordinator.assign(2, 4, model.units(4));
  EXPECT_EQ(ready(), model.units(4).size());
  EXPECT_EQ(worker.take<FetchGrain>(coordinator.key()).size(), 0u);
}

TEST_F(WorkerFetch, TheNewestAssignmentCounts) {
  coordinator.admit();
  coordinator.assign(5, 1, {{0, 0, 0}});
  coordinator.assign(4, 1, model.units(1));  // late
  coordinator.serve_bulk();
  EXPECT_EQ(worker.core().status()[0].units_assigned, 1u);
  coordinator.assign(6, 1, {{0, 1, 0}});
  coordinator.serve_bulk();
  EXPECT_EQ(worker.core().status()[0].units_assigned, 1u);
  EXPECT_EQ(ready(), 1u);
  // What is no longer assigned stays on disk.
  size_t asked = coordinator.grains_asked().size();
  worker.forget_actions();
  coordinator.assign(7, 1, {{0, 0, 0}});
  EXPECT_EQ(worker.take_one<Residency>(coordinator.key()).message.ready,
            (std::vector<UnitId>{{0, 0, 0}}));
  coordinator.serve_bulk();
  EXPECT_EQ(coordinator.grains_asked().size(), asked);
}

TEST_F(WorkerFetch, AnAssignmentMayComeBeforeTheManifest) {
  worker.core().add_pool(coordinator.address());
  coordinator.assign(1, 1, {{0, 0, 0}});
  coordinator.welcome();
  coordinator.assign(2, 1, {{0, 1, 0}});
  coordinator.serve_bulk();
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.version, 2u);
  EXPECT_EQ(report.message.ready, (std::vector<UnitId>{{0, 1, 0}}));
}

TEST_F(WorkerFetch, ANewAssignmentWhileFetching) {
  coordinator.admit();
  coordinator.assign(1, 1, some_units(2));
  coordinator.serve_asked();
  coordinator.assign(2, 1, model.units(1));
  coordinator.serve_bulk();
  live(seconds(7));  // what was on its way twice is waited for
  EXPECT_EQ(ready(), model.units(1).size());
}

TEST_F(WorkerFetch, ImpossibleAssignmentsAreIgnored) {
  coordinator.fill(1, some_units(1));
  worker.forget_actions();
  std::vector<Assignment> impossible = {{coordinator.epoch, 2, 0, {}},
                                        {coordinator.epoch, 2, 65, {}},
                                        {coordinator.epoch, 2, 1, {{1, 0, 0}}},
                                        {coordinator.epoch, 2, 1, {{0, 4, 0}}},
                                        {coordinator.epoch, 2, 2, {{0, 0, 2}}},
                                        {coordinator.epoch, 2, 1, {{0xffff, 0xffff, 0xffff}}}};
  for (const Assignment& assignment : impossible) {
    coordinator.say(assignment);
    EXPECT_NE(worker.notices().find("ignored: assignment"), std::string::npos);
  }
  EXPECT_EQ(ready(), 1u);
}

TEST_F(WorkerFetch, UnitsNamedTwiceAndEmptySlicesDoNoHarm) {
  coordinator.admit();
  // 64 slices of fewer grains: most are empty, and ready at once.
  std::vector<UnitId> units;
  for (uint16_t slice = 0; slice < 64; ++slice) units.push_back({0, 0, slice});
  units.push_back({0, 0, 63});
  coordinator.assign(1, 64, units);
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 64u);
  EXPECT_EQ(coordinator.grains_asked().size(), model.manifest().layer(0)->plan.grains);
}

TEST_F(WorkerFetch, LostPartsAreAskedForAgain) {
  CounterRandom random(11);
  uint64_t parts = 0;
  coordinator.tamper = [&](BulkData&, ByteVector&) { return random.bits(parts++) % 10 != 0; };
  coordinator.part_bytes = 8192;
  worker.core().add_pool(coordinator.address());
  coordinator.welcome();
  coordinator.assign(1, 1, some_units(2));
  live(seconds(120));
  EXPECT_EQ(ready(), 2u);
  EXPECT_EQ(worker.notices(), all_from_the_coordinator());
}

TEST_F(WorkerFetch, RepeatedAndReorderedPartsDoNoHarm) {
  coordinator.admit();
  bool again = false;
  coordinator.tamper = [&](BulkData& data, ByteVector& bytes) {
    if (again) return true;
    again = true;  // every part twice, and the whole offset twice
    coordinator.say_bulk(data, bytes);
    again = false;
    return true;
  };
  coordinator.assign(1, 1, some_units(2));
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 2u);
}

// One kind of damage to every part of the first answers.
struct Damage {
  const char* name;
  void (*apply)(BulkData&, ByteVector&);
};

class DamagedGrain : public WorkerFetch, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedGrain, IsAskedForAgain) {
  coordinator.admit();
  int left = 3;
  coordinator.tamper = [&](BulkData& data, ByteVector& bytes) {
    if (left-- > 0) GetParam().apply(data, bytes);
    return true;
  };
  coordinator.part_bytes = 64 * kMiB;  // one part a grain
  coordinator.assign(1, 1, some_units(1));
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 0u);
  EXPECT_NE(worker.notices().find("asking again"), std::string::npos);
  live(seconds(3));
  EXPECT_EQ(ready(), 1u);
  EXPECT_EQ(worker.store().count(), grain_count(some_units(1)));
}

// Less and less often, and not at the others' expense; when the fault is over it comes.
TEST_P(DamagedGrain, IsTriedAgainForEver) {
  coordinator.admit();
  Digest victim = model.manifest().digest_of({0, 0, 3});
  coordinator.tamper = [&](BulkData& data, ByteVector& bytes) {
    if (data.digest == victim) GetParam().apply(data, bytes);
    return true;
  };
  coordinator.part_bytes = 64 * kMiB;
  coordinator.assign(1, 1, some_units(2));
  live(seconds(50));
  EXPECT_EQ(ready(), 1u);  // the other one
  EXPECT_NE(worker.notices().find("given up for a while"), std::string::npos);
  const auto& asked = coordinator.grains_asked();
  EXPECT_EQ(std::count(asked.begin(), asked.end(), GrainId{0, 0, 3}), 5);
  EXPECT_FALSE(worker.store().contains(victim));
  live(std::chrono::minutes(60));
  EXPECT_LE(std::count(asked.begin(), asked.end(), GrainId{0, 0, 3}), 5 * 12);
  coordinator.tamper = {};
  live(UnitTable::kLongestRetry);
  EXPECT_EQ(ready(), 2u);
}

TEST_P(DamagedGrain, BeginsAnewWithAnotherAssignment) {
  coordinator.admit();
  Digest victim = model.manifest().digest_of({0, 0, 3});
  coordinator.tamper = [&](BulkData& data, ByteVector& bytes) {
    if (data.digest == victim) GetParam().apply(data, bytes);
    return true;
  };
  coordinator.part_bytes = 64 * kMiB;
  coordinator.assign(1, 1, some_units(2));
  live(seconds(50));
  EXPECT_EQ(ready(), 1u);
  coordinator.tamper = {};
  coordinator.assign(2, 1, some_units(2));
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 2u);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedGrain,
    testing::Values(
        Damage{"NotFound",
               [](BulkData& data, ByteVector& bytes) {
                 data.found = false;
                 bytes.clear();
               }},
        Damage{"OtherBytes", [](BulkData&, ByteVector& bytes) { bytes[77] ^= std::byte{1}; }},
        Damage{"OtherTotal", [](BulkData& data, ByteVector&) { data.total += 4096; }},
        Damage{"HugeTotal", [](BulkData& data, ByteVector&) { data.total = ~0ull; }},
        Damage{"OffsetBeyondTheEnd",
               [](BulkData& data, ByteVector&) { data.offset = data.total + 1; }},
        Damage{"HugeOffset", [](BulkData& data, ByteVector&) { data.offset = ~0ull - 4; }},
        Damage{"TooManyBytes", [](BulkData&, ByteVector& bytes) { bytes.push_back(std::byte{0}); }},
        Damage{"NoBytes", [](BulkData&, ByteVector& bytes) { bytes.clear(); }}),
    [](const auto& twist) { return twist.param.name; });

TEST_F(WorkerFetch, WhatNobodyAskedForIsNotStored) {
  coordinator.admit();
  coordinator.assign(1, 1, {});
  ByteVector grain = model.grain({0, 0, 0});
  Digest digest = model.manifest().digest_of({0, 0, 0});
  worker.deliver(coordinator.key(), Channel::kBulk, BulkData{digest, true, 0, grain.size(), {}},
                 grain);
  EXPECT_EQ(worker.store().count(), 0u);
  EXPECT_EQ(worker.core().status()[0].bytes_fetched, 0u);
}

TEST_F(WorkerFetch, ANewConnectionAsksAtOnce) {
  coordinator.admit();
  coordinator.assign(1, 1, some_units(1));
  size_t under_way = worker.take<FetchGrain>(coordinator.key()).size();
  EXPECT_GT(under_way, 0u);
  worker.core().on_connected(coordinator.key(), Channel::kBulk);
  EXPECT_EQ(worker.take<FetchGrain>(coordinator.key()).size(), under_way);
}

// Every byte of every grain counts once, however the connection and the coordinator behave.
class WorkerResumes : public WorkerFetch {
 protected:
  WorkerResumes() {
    coordinator.part_bytes = 1000;
    coordinator.tamper = [this](BulkData&, ByteVector& bytes) {
      if (left_ == 0) return false;
      --left_;
      taken_ += bytes.size();
      return true;
    };
  }
  // So many small pieces of what is asked for arrive, and the rest is lost.
  void receive(size_t pieces) {
    left_ = pieces;
    coordinator.serve_asked();
    left_ = 0;
  }
  // Requests that are under way are lost with the connection.
  void reconnect() {
    worker.forget_actions();
    worker.core().on_connected(coordinator.key(), Channel::kBulk);
  }
  void restart_coordinator() {
    worker.forget_actions();
    ++coordinator.epoch;
    coordinator.welcome();
  }
  void expect_everything_once(const std::vector<UnitId>& units) {
    left_ = SIZE_MAX;
    coordinator.serve_bulk();
    live(seconds(70));
    EXPECT_EQ(ready(), units.size());
    EXPECT_EQ(taken_, worker.store().used_bytes() + extra_);
    EXPECT_EQ(worker.notices().find("asking again"), std::string::npos);
  }

  size_t left_ = SIZE_MAX;
  uint64_t taken_ = 0;
  uint64_t extra_ = 0;  // besides grains
};

TEST_F(WorkerResumes, AfterASilence) {
  left_ = SIZE_MAX;
  coordinator.admit();
  taken_ = 0;
  coordinator.assign(1, 1, some_units(2));
  for (int silence = 0; silence < 4; ++silence) {
    receive(5);
    live(seconds(70), false);
  }
  expect_everything_once(some_units(2));
}

TEST_F(WorkerResumes, AfterALostConnection) {
  coordinator.admit();
  taken_ = 0;
  coordinator.assign(1, 1, some_units(2));
  for (int cut = 0; cut < 4; ++cut) {
    receive(5);
    reconnect();
  }
  expect_everything_once(some_units(2));
}

TEST_F(WorkerResumes, AfterTheCoordinatorHasStartedAgain) {
  coordinator.admit();
  taken_ = 0;
  for (int restart = 0; restart < 4; ++restart) {
    coordinator.assign(1, 1, some_units(2));
    receive(5);
    restart_coordinator();
  }
  coordinator.assign(1, 1, some_units(2));
  expect_everything_once(some_units(2));
}

TEST_F(WorkerResumes, AManifestAfterSilencesConnectionsAndRestarts) {
  coordinator.part_bytes = 500;
  worker.core().add_pool(coordinator.address());
  coordinator.welcome();
  ASSERT_GT(coordinator.signed_manifest.body.size(), 3000u);
  receive(1);
  live(seconds(70), false);
  receive(1);
  reconnect();
  receive(1);
  restart_coordinator();
  receive(1);
  worker.forget_actions();
  coordinator.welcome();
  EXPECT_EQ(taken_, 2000u);
  left_ = SIZE_MAX;
  coordinator.serve_bulk();
  live(seconds(70));
  EXPECT_EQ(worker.core().status().at(0).phase, "member");
  EXPECT_EQ(taken_, coordinator.signed_manifest.body.size());
}

// A coordinator that says one byte every four seconds, or sends what was not asked for, is not
// waited for.
TEST_F(WorkerResumes, WhatNobodyAskedForIsNoProgress) {
  coordinator.admit();
  coordinator.assign(1, 1, some_units(1));
  size_t asked = worker.take<FetchGrain>(coordinator.key()).size();
  ASSERT_GT(asked, 0u);
  Digest digest = model.manifest().digest_of({0, 0, 0});
  uint64_t total = model.manifest().grain_bytes({0, 0, 0});
  for (int i = 0; i < 5; ++i) {
    left_ = SIZE_MAX;
    worker.deliver(coordinator.key(), Channel::kBulk, BulkData{digest, true, total - 1, total, {}},
                   ByteVector(1));
    live(seconds(1), false);
  }
  EXPECT_GE(worker.take<FetchGrain>(coordinator.key()).size(), asked);
}

TEST_F(WorkerFetch, ATooSmallQuotaHoldsWhatFits) {
  worker.options.disk_bytes = 0;
  for (uint32_t g = 0; g < model.manifest().layer(0)->plan.grains; ++g) {
    worker.options.disk_bytes += model.manifest().grain_bytes({0, 0, static_cast<uint16_t>(g)});
  }
  worker.options.disk_bytes += coordinator.signed_manifest.body.size() + 4096;  // and a little
  worker.restart();
  coordinator.admit();
  coordinator.assign(1, 1, some_units(3));
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 1u);
  std::string notices = worker.notices();
  EXPECT_NE(notices.find("--disk"), std::string::npos) << notices;
  EXPECT_NE(notices.find("1 of 3 units are ready"), std::string::npos) << notices;
  EXPECT_EQ(notices.find("fatal"), std::string::npos);
  EXPECT_LE(worker.store().used_bytes(), worker.options.disk_bytes);
  live(seconds(10));  // and it does not go on asking
  EXPECT_LE(coordinator.grains_asked().size(), grain_count(some_units(3)));
  worker.pass(milliseconds(100));
  auto reports = worker.take<Residency>(coordinator.key());
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports[0].message.ready, some_units(1));
  // Other units take the place of those that are no longer assigned.
  coordinator.assign(2, 1, {{0, 3, 0}});
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 1u);
  EXPECT_FALSE(worker.store().contains(model.manifest().digest_of({0, 0, 0})));
}

TEST_F(WorkerFetch, AFullDiskIsReported) {
  coordinator.admit();
  worker.disk.set_capacity(limits::kDiskReserveBytes + 100 * kKiB);
  coordinator.assign(1, 1, some_units(3));
  coordinator.serve_bulk();
  EXPECT_LT(ready(), 3u);
  EXPECT_NE(worker.notices().find("no room for more experts"), std::string::npos);
  worker.disk.set_capacity(limits::kDiskReserveBytes + 64 * kMiB);
  coordinator.assign(2, 1, some_units(3));
  coordinator.serve_bulk();
  EXPECT_EQ(ready(), 3u);
}

// --- several pools ---

TEST_F(WorkerFetch, TwoPoolsShareTheStore) {
  FakeCoordinator second(worker, model, 2);
  coordinator.fill(1, model.units(1));
  second.fill(1, model.units(1));
  EXPECT_EQ(second.grains_asked().size(), 0u);
  EXPECT_EQ(worker.core().pools(), 2u);
  for (const MembershipStatus& status : worker.core().status()) {
    EXPECT_EQ(status.units_ready, model.units(1).size());
  }
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 4, 2, 3);
  EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  EXPECT_TRUE(same(second.compute(batch, 1), model.solo(batch)));
  coordinator.say(Goodbye{coordinator.epoch, ""});
  EXPECT_EQ(worker.core().pools(), 1u);
  EXPECT_TRUE(same(second.compute(batch, 1), model.solo(batch)));
}

TEST_F(WorkerFetch, TwoPoolsFetchTheSameGrainsOnce) {
  FakeCoordinator second(worker, model, 2);
  coordinator.admit();
  second.admit();
  coordinator.assign(1, 1, model.units(1));
  second.assign(1, 1, model.units(1));
  coordinator.serve_bulk();
  second.serve_bulk();
  EXPECT_EQ(coordinator.grains_asked().size(), grain_count(model.units(1)));
  // Under way before the others came.
  EXPECT_LE(second.grains_asked().size(), limits::kBulkPartsAsked);
  worker.pass(milliseconds(100));
  for (const MembershipStatus& status : worker.core().status()) {
    EXPECT_EQ(status.units_ready, model.units(1).size());
  }
}

TEST_F(WorkerFetch, PoolsWithDifferentModelsKeepApart) {
  SampleModel other(2);
  FakeCoordinator second(worker, other, 2);
  coordinator.fill(1, model.units(1));
  second.fill(2, other.units(2));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 4, 2, 3);
  EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  EXPECT_TRUE(same(second.compute(batch, 2), other.solo(batch)));
  EXPECT_FALSE(same(model.solo(batch), other.solo(batch)));
  EXPECT_EQ(
      second.ask(coordinator.compute_message(batch, 1), coordinator.frame_of(batch)).message.status,
      PartialStatus::kBadRequest);  // another cut
}

TEST_F(WorkerFetch, MemoryIsDividedAmongPools) {
  uint64_t slab = model.manifest().largest_grain_bytes();
  worker.options.ram_bytes = 6 * slab;
  worker.restart();
  SampleModel other(2);
  FakeCoordinator second(worker, other, 2);
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 4, 2, 3);
  EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  EXPECT_EQ(worker.core().resident_bytes(), 6 * slab);
  second.fill(1, other.units(1));
  EXPECT_TRUE(same(coordinator.compute(batch, 1), model.solo(batch)));
  EXPECT_TRUE(same(second.compute(batch, 1), other.solo(batch)));
  EXPECT_EQ(worker.core().resident_bytes(), 6 * slab);
  coordinator.say(Goodbye{coordinator.epoch, ""});
  EXPECT_TRUE(same(second.compute(batch, 1), other.solo(batch)));
  EXPECT_EQ(worker.core().resident_bytes(), 6 * slab);
}

TEST_F(WorkerFetch, APoolWhoseGrainsDoNotFitTheMemoryIsLeft) {
  worker.options.ram_bytes = 2 * model.manifest().largest_grain_bytes() - 1;
  worker.restart();
  FakeCoordinator second(worker, model, 2);
  coordinator.fill(1, model.units(1));
  second.admit();
  EXPECT_NE(worker.notices().find("--ram"), std::string::npos);
  EXPECT_NE(worker.take_one<Goodbye>(second.key()).message.text.find("--ram"), std::string::npos);
  ASSERT_EQ(worker.core().pools(), 1u);
  EXPECT_EQ(worker.core().status()[0].coordinator, coordinator.key());
}

}  // namespace
}  // namespace potluck::test
