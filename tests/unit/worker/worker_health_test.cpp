// What follows from a device's condition in the worker: its coordinators are told, it rests between
// pieces of work, and it goes on answering with the same bits.
#include "engine/base/process_limits.h"
#include "tests/support/sample_files.h"
#include "tests/unit/worker/worker_harness.h"
#include "worker/duty_cycle.h"
#include "worker/health_watch.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

HealthReport tired(uint8_t share) {
  HealthReport report;
  report.share = share;
  report.text = "its battery is at 20 %";
  report.battery_percent = 20;
  return report;
}

TEST(DutyCycle, RestsAreInProportion) {
  DutyCycle duty;
  duty.worked(seconds(10), milliseconds(8));
  EXPECT_EQ(duty.rest_until(), seconds(10));
  duty.set_share(25);
  duty.worked(seconds(10), milliseconds(8));
  EXPECT_EQ(duty.rest_until(), seconds(10) + milliseconds(24));
  duty.set_share(0);
  duty.worked(seconds(10), milliseconds(1));
  EXPECT_EQ(duty.rest_until(), seconds(10) + milliseconds(9));
}

class WorkerHealthTest : public testing::Test {
 protected:
  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
};

TEST_F(WorkerHealthTest, AWorkerInFullHealthSaysNothing) {
  coordinator.fill(1, model.units(1));
  worker.pass(seconds(5));
  EXPECT_TRUE(worker.take<HealthReport>(coordinator.key()).empty());
}

TEST_F(WorkerHealthTest, ChangesAreToldAndToldAgainAfterAWelcome) {
  worker.core().set_health(tired(50));  // before there is a pool
  coordinator.fill(1, model.units(1));
  HealthReport told = worker.take_one<HealthReport>(coordinator.key()).message;
  EXPECT_NE(told.epoch, 0u);
  EXPECT_EQ(told.share, 50);
  EXPECT_EQ(told.text, "its battery is at 20 %");
  worker.pass(seconds(2));
  EXPECT_TRUE(worker.take<HealthReport>(coordinator.key()).empty());
  coordinator.welcome();
  EXPECT_EQ(worker.take_one<HealthReport>(coordinator.key()).message.share, 50);
}

TEST_F(WorkerHealthTest, ManyChangesAreOneMessageASecond) {
  coordinator.fill(1, model.units(1));
  for (uint8_t share = 100; share > 0; --share) {
    worker.core().set_health(tired(share));
    worker.pass(milliseconds(10));
  }
  worker.pass(seconds(1));
  const auto told = worker.take<HealthReport>(coordinator.key());
  EXPECT_LE(told.size(), 3u);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().message.share, 1);
}

// The loop's own ticks begin the next piece of work once the rest is over: nothing waits for a
// message.
TEST_F(WorkerHealthTest, ATiredWorkerRestsAndAnswersWithTheSameBits) {
  HarnessOptions options;
  options.processor.emplace(1.0, milliseconds(1));  // on the clock of the test
  WorkerHarness slow(options);
  FakeCoordinator asking(slow, model, 1);
  asking.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 5, 2, 1);
  const Compute request = asking.compute_message(batch, 1);
  ByteVector sums;  // of the last answer
  auto time_of_two = [&] {
    const TimePoint begin = slow.clock.now();
    size_t answers = 0;
    asking.say(request, FakeCoordinator::frame_of(batch));
    asking.say(request, FakeCoordinator::frame_of(batch));
    for (int i = 0; i < 10'000; ++i) {
      for (auto& answer : slow.take<Partial>(asking.key())) {
        EXPECT_EQ(answer.message.status, PartialStatus::kOk);
        sums = std::move(answer.tensor);
        ++answers;
      }
      if (answers == 2) break;
      const Duration wait = slow.core().next_tick() - slow.clock.now();
      slow.pass(std::max<Duration>(wait, std::chrono::microseconds(10)));
    }
    EXPECT_EQ(answers, 2u);
    return slow.clock.now() - begin;
  };
  const Duration fresh = time_of_two();
  const ByteVector expected = sums;
  slow.core().set_health(tired(10));
  const Duration resting = time_of_two();
  EXPECT_GT(resting, 3 * fresh);  // one rest of nine times the work of the first request
  EXPECT_EQ(sums, expected);
  EXPECT_FALSE(expected.empty());
}

// Its answers have the same bits, and what it holds follows what it is told it can have.
TEST_F(WorkerHealthTest, AWorkerThatLacksMemoryKeepsLessAndAnswersWithTheSameBits) {
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 9, 3, 1);
  const ExpertSums expected = coordinator.compute(batch, 1);
  const uint64_t full = worker.core().resident_bytes();
  HealthReport report;
  report.use.cache_bytes = 1;  // one grain is the least
  worker.core().set_health(report);
  EXPECT_LT(worker.core().resident_bytes(), full);
  const ExpertSums same = coordinator.compute(batch, 1);
  EXPECT_EQ(same.sums, expected.sums);
  EXPECT_LT(worker.core().resident_bytes(), full);
  worker.core().set_health({});
  (void)coordinator.compute(batch, 1);
  EXPECT_EQ(worker.core().resident_bytes(), full);
}

// The card with the store is pulled out in the middle: its units are lost, the worker is not, and
// they are back with the card, without being fetched.
TEST_F(WorkerHealthTest, AStoreThatIsGoneIsLostUnitsAndNoLostWorker) {
  coordinator.fill(1, model.units(1));
  SampleBatch batch = model.batch(SampleModel::kBlocks, 9, 3, 1);
  const ExpertSums expected = coordinator.compute(batch, 1);
  worker.take<Residency>(coordinator.key());
  HealthReport report;
  report.use.cache_bytes = 1;
  worker.core().set_health(report);  // so that it has to read
  worker.disk.detach(true);
  const Compute request = coordinator.compute_message(batch, 1);
  const auto refused = coordinator.ask(request, FakeCoordinator::frame_of(batch));
  EXPECT_EQ(refused.message.status, PartialStatus::kMissing);
  worker.pass(seconds(1));
  size_t lost = 0;
  uint64_t room = Residency::kAnyRoom;
  for (const auto& said : worker.take<Residency>(coordinator.key())) {
    lost += said.message.lost.size();
    room = said.message.room_bytes;
    EXPECT_EQ(said.message.text, "its disk cannot be reached");
  }
  EXPECT_EQ(lost, model.units(1).size());
  EXPECT_EQ(room, 0u);
  EXPECT_EQ(worker.core().pools(), 1u);
  const auto live = [&](int time) {  // in seconds, as a member
    for (int i = 0; i < time; ++i) {
      coordinator.say(Heartbeat{coordinator.epoch, 1, false});
      worker.pass(seconds(1));
    }
  };
  live(40);
  worker.take<Residency>(coordinator.key());
  worker.disk.detach(false);
  worker.take<FetchGrain>(coordinator.key());
  live(15);
  size_t ready = 0;
  for (const auto& said : worker.take<Residency>(coordinator.key())) {
    ready += said.message.ready.size();
  }
  EXPECT_EQ(ready, model.units(1).size());
  EXPECT_TRUE(worker.take<FetchGrain>(coordinator.key()).empty()) << "it has them already";
  EXPECT_EQ(coordinator.compute(batch, 1).sums, expected.sums);
}

TEST(HealthWatch, TellsAPauseBeforeItComes) {
  SampleFiles files;
  files.files["/h"] = R"({"percentage": 90, "plugged": "PLUGGED_AC"})";
  ManualClock clock;
  HealthOptions options;
  options.file = "/h";
  options.limits.only_when_charging = true;
  HealthWatch watch(options, files, clock);
  (void)watch.look();
  files.files["/h"] = R"({"percentage": 90, "plugged": "UNPLUGGED"})";
  clock.advance(HealthWatch::kInterval);
  const auto soon = watch.look();
  ASSERT_TRUE(soon);
  EXPECT_EQ(soon->share, 100);
  EXPECT_EQ(soon->pause_seconds, 20u);
  EXPECT_EQ(soon->text, "it is not being charged");
  clock.advance(seconds(20));
  const auto now = watch.look();
  ASSERT_TRUE(now);
  EXPECT_EQ(now->share, 0);
  EXPECT_EQ(now->pause_seconds, 0u);
}

TEST(HealthWatch, MemoryIsLookedAtEverySecond) {
  SampleFiles files;
  files.files["/proc/meminfo"] = "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n";
  files.files["/proc/pressure/memory"] = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
  ManualClock clock;
  HealthWatch watch({}, files, clock, 800 * kMiB);
  OwnUse own;
  own.resident_bytes = 800 * kMiB;
  EXPECT_FALSE(watch.look(own));
  files.files["/proc/meminfo"] = "MemTotal: 4194304 kB\nMemAvailable: 0 kB\n";
  clock.advance(HealthWatch::kMemoryInterval);
  auto report = watch.look(own);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->use.cache_bytes, 288 * kMiB);
  EXPECT_EQ(watch.memory().shrinks(), 1u);
  files.files["/proc/meminfo"] = "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n";
  files.files["/proc/pressure/memory"] = "some avg10=60.00 avg60=0.00 avg300=0.00 total=0\n";
  own.resident_bytes = 288 * kMiB;
  clock.advance(HealthWatch::kInterval);
  report = watch.look(own);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->use.cache_bytes, 144 * kMiB);
}

TEST(HealthWatch, LooksEveryFewSecondsAndTellsChanges) {
  SampleFiles files;
  ManualClock clock;
  HealthOptions options;
  options.file = "/h";
  HealthWatch watch(options, files, clock);
  EXPECT_FALSE(watch.look());  // as it is taken to be
  files.files["/h"] = R"({"percentage": 10, "plugged": "UNPLUGGED"})";
  EXPECT_FALSE(watch.look());
  clock.advance(HealthWatch::kInterval);
  const auto report = watch.look();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->pause_seconds, 20u);
  EXPECT_EQ(report->battery_percent, 10);
  EXPECT_TRUE(report->on_battery);
  EXPECT_EQ(report->celsius, HealthReport::kNoThermometer);
  clock.advance(seconds(20));
  EXPECT_EQ(watch.look().value_or(HealthReport{}).share, 0);
  clock.advance(HealthWatch::kInterval);
  EXPECT_FALSE(watch.look());
}

TEST(HealthWatch, WhatTheOwnerAllowsHoldsAlsoWhereHealthIsIgnored) {
  SampleFiles files;
  files.files["/h"] = R"({"percentage": 1, "plugged": "UNPLUGGED"})";
  ManualClock clock;
  HealthOptions options;
  options.file = "/h";
  options.watched = false;
  HealthWatch careless(options, files, clock);
  EXPECT_FALSE(careless.look());
  options.limits.max_cpu = 40;
  HealthWatch modest(options, files, clock);
  const auto report = modest.look();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->share, 40);
}

}  // namespace
}  // namespace potluck::test
