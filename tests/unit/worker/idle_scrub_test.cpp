#include "worker/idle_scrub.h"

#include "tests/support/grain_on_disk.h"
#include "tests/unit/worker/worker_harness.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

class IdleScrubTest : public testing::Test {
 protected:
  IdleScrubTest() : store_(GrainStore::open(disk_, "store", 64 * kMiB).value()) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      ByteVector grain(1 * kMiB, static_cast<std::byte>(seed));
      CHECK(store_->put(sha256(grain), grain).ok());
    }
  }

  MemoryStorage disk_;
  ManualClock clock_;
  std::unique_ptr<GrainStore> store_;
};

TEST_F(IdleScrubTest, GoesRoundInStepsWhenNothingHappens) {
  IdleScrub scrub(*store_, clock_);
  EXPECT_FALSE(scrub.on_tick());
  clock_.set(scrub.next_tick());
  EXPECT_EQ(clock_.now(), IdleScrub::kQuiet);
  for (int step = 0; step < 3; ++step) {
    EXPECT_EQ(scrub.on_tick()->bytes_read, 1 * kMiB);
    EXPECT_FALSE(scrub.on_tick());
    clock_.advance(IdleScrub::kPause);
  }
  EXPECT_TRUE(scrub.on_tick()->round_complete);
  EXPECT_EQ(scrub.next_tick(), clock_.now() + IdleScrub::kRest);
  scrub.worked();
  EXPECT_EQ(scrub.next_tick(), clock_.now() + IdleScrub::kRest) << "work does not end the rest";
}

TEST_F(IdleScrubTest, WorkPutsItOff) {
  IdleScrub scrub(*store_, clock_);
  for (int i = 0; i < 10; ++i) {
    clock_.advance(seconds(3));
    scrub.worked();
    EXPECT_FALSE(scrub.on_tick());
  }
  clock_.advance(IdleScrub::kQuiet);
  EXPECT_TRUE(scrub.on_tick());
}

TEST(WorkerScrub, WhatRottedIsFetchedAgainBeforeItIsNeeded) {
  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(2, model.units(2));
  worker.forget_actions();
  size_t asked = coordinator.grains_asked().size();
  GrainId victim{SampleModel::kSuperBlocks, 1, 2};
  Digest digest = model.manifest().digest_of(victim);
  GrainOnDisk place = *grain_on_disk(worker.disk, "store", digest);
  worker.disk.flip_bit(place.path, place.offset + 77);
  for (int second = 0; second < 60; ++second) {
    worker.pass(seconds(1));
    coordinator.say(Heartbeat{coordinator.epoch, 1, false});
  }
  std::string notices = worker.notices();
  EXPECT_NE(notices.find(place.path), std::string::npos) << notices;
  EXPECT_FALSE(worker.store().contains(digest));
  auto report = worker.take_one<Residency>(coordinator.key());
  EXPECT_EQ(report.message.lost, (std::vector<UnitId>{{SampleModel::kSuperBlocks, 1, 0}}));
  coordinator.serve_bulk();
  ASSERT_GT(coordinator.grains_asked().size(), asked);
  for (size_t i = asked; i < coordinator.grains_asked().size(); ++i) {  // again while none came
    EXPECT_EQ(coordinator.grains_asked()[i], victim);
  }
  EXPECT_TRUE(worker.store().contains(digest));
}

}  // namespace
}  // namespace potluck::test
