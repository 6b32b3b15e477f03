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
  EXPECT_EQ(report->share, 0);
  EXPECT_EQ(report->battery_percent, 10);
  EXPECT_TRUE(report->on_battery);
  EXPECT_EQ(report->celsius, HealthReport::kNoThermometer);
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
