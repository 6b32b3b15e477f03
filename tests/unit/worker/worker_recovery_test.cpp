// After bad times: a coordinator that could not deliver, a disk that was full, a process without
// descriptors. What could not be held is reported, and what failed is tried again.
#include "engine/base/limits.h"
#include "tests/support/grain_on_disk.h"
#include "tests/unit/worker/worker_harness.h"
#include "worker/unit_table.h"

namespace potluck::test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class WorkerRecovery : public testing::Test {
 protected:
  uint32_t ready() { return worker.core().status().at(0).units_ready; }
  // Time passes under a coordinator that beats, and answers as `answer` says.
  void live(Duration time, const std::function<void()>& answer) {
    for (Duration passed{0}; passed < time; passed += seconds(1)) {
      worker.pass(seconds(1));
      coordinator.say(Heartbeat{coordinator.epoch, 1, false});
      answer();
    }
  }
  void deny() {
    for (auto& asked : worker.take<FetchGrain>(coordinator.key())) {
      ++denied;
      coordinator.say_bulk({asked.message.digest, false, 0, 0, {}}, {});
    }
  }
  void serve() { coordinator.serve_bulk(); }
  // The last word on the room, if there was one.
  std::optional<uint64_t> room() {
    std::optional<uint64_t> bytes;
    for (const auto& report : worker.take<Residency>(coordinator.key())) {
      bytes = report.message.room_bytes;
    }
    return bytes;
  }
  uint64_t bytes_of(UnitId unit) {
    uint64_t bytes = 0;
    for (uint32_t g = 0; g < model.manifest().layer(unit.layer)->plan.grains; ++g) {
      bytes += model.manifest().grain_bytes({unit.layer, unit.expert, static_cast<uint16_t>(g)});
    }
    return bytes;
  }

  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
  size_t denied = 0;
};

TEST_F(WorkerRecovery, AMinuteOfNotFoundIsNotForEver) {
  coordinator.admit();
  coordinator.assign(1, 1, {{0, 0, 0}, {2, 1, 0}});
  live(minutes(1), [this] { deny(); });
  EXPECT_EQ(ready(), 0u);
  EXPECT_GT(denied, 0u);
  EXPECT_LT(denied, 400u);  // and a minute of it is no flood
  live(minutes(2), [this] { serve(); });
  EXPECT_EQ(ready(), 2u);
}

TEST_F(WorkerRecovery, HoursOfNotFoundAreNotForEver) {
  coordinator.admit();
  coordinator.assign(1, 1, {{0, 0, 0}, {2, 1, 0}});
  live(minutes(150), [this] { deny(); });
  EXPECT_LT(denied, 3000u);
  live(UnitTable::kLongestRetry, [this] { serve(); });
  EXPECT_EQ(ready(), 2u);
}

TEST_F(WorkerRecovery, AFullDiskIsReportedAndTriedAgain) {
  coordinator.admit();
  uint64_t capacity = limits::kDiskReserveBytes + bytes_of({0, 0, 0}) + 100 * kKiB;
  worker.disk.set_capacity(capacity);
  coordinator.assign(1, 1, {{0, 0, 0}, {0, 1, 0}, {2, 1, 0}});
  serve();
  ASSERT_LT(ready(), 3u);
  std::optional<uint64_t> told = room();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(*told, ready() * bytes_of({0, 0, 0}));
  live(minutes(60), [this] { serve(); });
  EXPECT_LT(ready(), 3u);
  EXPECT_FALSE(room().has_value());  // nothing new
  worker.forget_actions();
  worker.disk.set_capacity(capacity + kGiB);
  live(UnitTable::kLongestRetry, [this] { serve(); });
  EXPECT_EQ(ready(), 3u);
  EXPECT_EQ(room(), Residency::kAnyRoom);
}

// The coordinator has taken the rest away; it hears when there is room again all the same.
TEST_F(WorkerRecovery, RoomThatComesBackIsOfferedAlsoWhenNothingIsMissing) {
  coordinator.admit();
  uint64_t capacity = limits::kDiskReserveBytes + bytes_of({0, 0, 0}) + 100 * kKiB;
  worker.disk.set_capacity(capacity);
  coordinator.assign(1, 1, {{0, 0, 0}, {0, 1, 0}});
  serve();
  ASSERT_EQ(ready(), 1u);
  coordinator.assign(2, 1, {{0, 0, 0}});
  EXPECT_EQ(ready(), 1u);
  EXPECT_LT(room().value_or(0), kMiB);
  worker.disk.set_capacity(capacity + kGiB);
  live(UnitTable::kLongestRetry, [this] { serve(); });
  EXPECT_EQ(room(), Residency::kAnyRoom);
}

TEST_F(WorkerRecovery, TheRoomIsToldAgainToACoordinatorThatForgot) {
  coordinator.admit();
  worker.disk.set_capacity(limits::kDiskReserveBytes + bytes_of({0, 0, 0}) + 100 * kKiB);
  coordinator.assign(1, 1, {{0, 0, 0}, {0, 1, 0}});
  serve();
  std::optional<uint64_t> told = room();
  ASSERT_TRUE(told.has_value());
  coordinator.welcome();
  EXPECT_EQ(room(), told);
}

// Another pool on the same device has the room that this one was promised.
TEST_F(WorkerRecovery, WhatAnotherPoolHasTakenIsReported) {
  SampleModel other{2};
  FakeCoordinator second{worker, other, 2};
  worker.options.disk_bytes = 3 * bytes_of({0, 0, 0}) + coordinator.signed_manifest.body.size() +
                              second.signed_manifest.body.size() + 8192;
  worker.restart();
  second.fill(1, {{0, 0, 0}, {0, 1, 0}});
  coordinator.admit();
  coordinator.assign(1, 1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  serve();
  EXPECT_LT(ready(), 3u);
  ASSERT_TRUE(room().has_value());
  EXPECT_EQ(worker.core().status().at(1).units_ready, 2u);  // nothing was taken from the other
}

// --- a store that is full of what other pools have left ---

class WorkerReplaces : public WorkerRecovery {
 protected:
  // A store that has room for `units` of the first kind, and for all manifests.
  void give_room_for(uint64_t units) {
    worker.options.disk_bytes = units * bytes_of({0, 0, 0}) +
                                coordinator.signed_manifest.body.size() +
                                former.signed_manifest.body.size() + 8192;
    worker.restart();
  }
  bool holds(const SampleModel& whose, UnitId unit) {
    for (uint32_t g = 0; g < whose.manifest().layer(unit.layer)->plan.grains; ++g) {
      GrainId grain{unit.layer, unit.expert, static_cast<uint16_t>(g)};
      if (!worker.store().contains(whose.manifest().digest_of(grain))) return false;
    }
    return true;
  }

  SampleModel other{2};
  FakeCoordinator former{worker, other, 2};
};

TEST_F(WorkerReplaces, APoolThatHasEndedMakesRoomForTheNext) {
  give_room_for(3);
  former.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  former.say(Goodbye{former.epoch, ""});
  ASSERT_EQ(worker.core().pools(), 0u);
  coordinator.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  EXPECT_EQ(ready(), 3u);
  EXPECT_EQ(worker.notices().find("--disk"), std::string::npos);
}

TEST_F(WorkerReplaces, APoolThatIsGoneSinceARestartMakesRoomAfterAWhile) {
  give_room_for(3);
  former.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  worker.restart();
  worker.core().add_pool(former.address());  // it may only be slow to answer
  coordinator.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  EXPECT_TRUE(holds(other, {0, 1, 0}));
  live(UnitTable::kLongestRetry, [this] { serve(); });
  EXPECT_TRUE(holds(model, {0, 0, 0}) && holds(model, {0, 1, 0}) && holds(model, {0, 2, 0}));
}

TEST_F(WorkerReplaces, APoolThatIsBackInTimeFindsWhatItHad) {
  give_room_for(3);
  former.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  size_t asked = former.grains_asked().size();
  worker.restart();
  worker.core().add_pool(former.address());
  coordinator.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  former.fill(1, {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}});
  live(UnitTable::kLongestRetry, [this] { serve(); });
  EXPECT_TRUE(holds(other, {0, 0, 0}) && holds(other, {0, 1, 0}) && holds(other, {0, 2, 0}));
  // Only what the manifest of the other pool took the room of.
  EXPECT_LE(former.grains_asked().size(), asked + 1);
}

TEST_F(WorkerReplaces, WhatNoManifestNamesGoesFirst) {
  give_room_for(3);
  former.fill(1, {{0, 0, 0}});
  former.say(Goodbye{former.epoch, ""});
  ByteVector unknown(bytes_of({0, 0, 0}) / 4096 * 4096, std::byte{7});
  Digest name = sha256(unknown);
  ASSERT_TRUE(worker.store().put(name, unknown));
  coordinator.fill(1, {{0, 0, 0}, {0, 1, 0}});
  EXPECT_EQ(ready(), 2u);
  EXPECT_FALSE(worker.store().contains(name));
  EXPECT_TRUE(holds(other, {0, 0, 0}));
}

TEST_F(WorkerReplaces, WhatAJoinedPoolDoesNotNeedGoesBeforeAPoolThatIsAway) {
  give_room_for(3);
  former.fill(1, {{0, 0, 0}});
  former.say(Goodbye{former.epoch, ""});
  coordinator.fill(1, {{0, 0, 0}, {0, 1, 0}});
  coordinator.assign(2, 1, {{0, 2, 0}, {0, 3, 0}});
  serve();
  EXPECT_EQ(ready(), 2u);
  EXPECT_TRUE(holds(other, {0, 0, 0}));
  coordinator.assign(3, 1, {{0, 1, 0}, {0, 2, 0}, {0, 3, 0}});
  serve();
  EXPECT_EQ(ready(), 3u);
  EXPECT_FALSE(holds(other, {0, 0, 0}));
}

TEST_F(WorkerRecovery, WithoutDescriptorsNoGrainIsDistrusted) {
  coordinator.fill(1, {{0, 0, 0}});
  worker.restart();  // the segment is not open
  coordinator.fill(1, {{0, 0, 0}});
  size_t asked = coordinator.grains_asked().size();
  size_t held = worker.store().count();
  worker.forget_actions();
  SampleBatch batch = model.batch(0, 3, 2, 1);
  auto first = [](UnitId unit) { return unit.expert == 0; };
  Compute request = coordinator.compute_message(batch, 1, first);
  std::erase_if(request.rows, [](const ComputeRow& row) { return row.calls.empty(); });
  ASSERT_FALSE(request.rows.empty());
  ByteVector frame = FakeCoordinator::frame_of(batch);
  frame.resize(frame.size() / batch.input.tokens() * request.rows.size());
  worker.disk.fail_opens(1);
  auto answer = coordinator.ask(request, frame);
  EXPECT_EQ(answer.message.status, PartialStatus::kMissing);
  EXPECT_NE(answer.message.text.find("too many open files"), std::string::npos);
  EXPECT_EQ(worker.store().count(), held);
  EXPECT_EQ(worker.store().quarantined_bytes(), 0u);
  worker.forget_actions();
  live(seconds(6), [this] { serve(); });
  EXPECT_EQ(coordinator.grains_asked().size(), asked);  // nothing was fetched again
  auto reports = worker.take<Residency>(coordinator.key());
  ASSERT_FALSE(reports.empty());  // and the unit is offered again
  EXPECT_EQ(reports.back().message.ready, (std::vector<UnitId>{{0, 0, 0}}));
  EXPECT_EQ(coordinator.ask(request, frame).message.status, PartialStatus::kOk);
}

}  // namespace
}  // namespace potluck::test
