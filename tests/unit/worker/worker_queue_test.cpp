// Work that takes a while: it is computed in blocks, and between them the worker is a member of its
// pools as ever.
#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "protocol/liveness.h"
#include "tests/unit/worker/worker_harness.h"
#include "worker/answering.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A device that computes a unit for a row in 20 ms: 300 of them take 6 s.
constexpr Duration kPerCall = milliseconds(20);

HarnessOptions slow_processor(Duration per_call = kPerCall) {
  HarnessOptions options;
  options.processor = SimulatedProcessor(1, per_call);
  return options;
}

// Ticks as a daemon does, 10 ms at most at a time, until the condition holds. The coordinators beat
// every second.
template <class Condition>
bool run_until(WorkerHarness& worker, std::vector<FakeCoordinator*> coordinators, Duration limit,
               const Condition& condition) {
  TimePoint end = worker.clock.now() + limit;
  TimePoint beat = worker.clock.now();
  while (!condition()) {
    if (worker.clock.now() >= end) return false;
    for (; beat <= worker.clock.now(); beat += kHeartbeatInterval) {
      for (FakeCoordinator* one : coordinators) one->say(Heartbeat{one->epoch, 1, false});
    }
    if (worker.core().next_tick() <= worker.clock.now()) worker.core().on_tick();
    TimePoint next = std::max(worker.core().next_tick(), worker.clock.now());
    worker.clock.set(std::min(next, worker.clock.now() + milliseconds(10)));
  }
  return true;
}

ExpertSums unpacked(const Compute& request, const WorkerHarness::Sent<Partial>& answer,
                    const SampleBatch& batch) {
  EXPECT_EQ(answer.message.status, PartialStatus::kOk) << answer.message.text;
  ExpertSums sums;
  sums.reset(batch.input.tokens(), batch.input.columns());
  add_answer(request, answer.message, answer.tensor, &sums);
  return sums;
}

// Once it was silent for as long as one message took, and declared dead after four seconds.
TEST(WorkerQueue, BeatsGoOutWhileOneMessageIsComputed) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 75, 4, 3);
  Compute request = coordinator.compute_message(batch, 1);
  TimePoint asked = worker.clock.now();
  coordinator.say(request, FakeCoordinator::frame_of(batch));
  TimePoint last = asked;
  Duration longest{0};
  std::vector<WorkerHarness::Sent<Partial>> answers;
  ASSERT_TRUE(run_until(worker, {&coordinator}, seconds(20), [&] {
    answers = worker.take<Partial>(coordinator.key());
    if (!worker.take<Heartbeat>(coordinator.key()).empty() || !answers.empty()) {
      longest = std::max(longest, worker.clock.now() - last);
      last = worker.clock.now();
    }
    return !answers.empty();
  }));
  EXPECT_GE(worker.clock.now() - asked, seconds(6));
  EXPECT_LE(worker.clock.now() - asked, milliseconds(6200));
  EXPECT_LE(longest, kHeartbeatInterval + kBlockTime);
  EXPECT_GE(answers[0].message.timings.compute, 6'000'000'000u);
  EXPECT_TRUE(same(unpacked(request, answers[0], batch), model.solo(batch)));
}

// The same with a disk: 800 KiB a second or so.
TEST(WorkerQueue, BeatsGoOutWhileASlowDiskIsRead) {
  SampleModel model{1};
  HarnessOptions options;
  options.disk_time_per_kib = milliseconds(25);
  WorkerHarness worker(options);
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 8, 4, 3);
  Compute request = coordinator.compute_message(batch, 1);
  TimePoint asked = worker.clock.now();
  coordinator.say(request, FakeCoordinator::frame_of(batch));
  size_t beats = 0;
  std::vector<WorkerHarness::Sent<Partial>> answers;
  ASSERT_TRUE(run_until(worker, {&coordinator}, seconds(60), [&] {
    beats += worker.take<Heartbeat>(coordinator.key()).size();
    answers = worker.take<Partial>(coordinator.key());
    return !answers.empty();
  }));
  Duration took = worker.clock.now() - asked;
  EXPECT_GT(took, seconds(6)) << "or the test shows nothing";
  EXPECT_GE(static_cast<int64_t>(beats) + 2, took / seconds(2));
  EXPECT_TRUE(same(unpacked(request, answers[0], batch), model.solo(batch)));
}

TEST(WorkerQueue, MessagesAreReceivedWhileOneIsComputed) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 75, 4, 3);
  coordinator.say(coordinator.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
  for (uint64_t number = 1; number <= 20; ++number) {
    coordinator.say(Heartbeat{coordinator.epoch, 1000 + number, true});
    auto beats = worker.take<Heartbeat>(coordinator.key());
    ASSERT_FALSE(beats.empty());
    EXPECT_EQ(beats.back().message.sequence, 1000 + number) << "the number that was asked";
    run_until(worker, {&coordinator}, milliseconds(100), [] { return false; });
  }
  EXPECT_TRUE(worker.take<Partial>(coordinator.key()).empty());
}

// A message of a decode step is one block: it is answered before anything else happens.
TEST(WorkerQueue, ASmallMessageIsAnsweredAtOnce) {
  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(2, model.units(2));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 1, 4, 3);
  for (int i = 0; i < 3; ++i) {
    coordinator.say(coordinator.compute_message(batch, 2), FakeCoordinator::frame_of(batch));
    EXPECT_EQ(worker.take<Partial>(coordinator.key()).size(), 1u);
    EXPECT_GT(worker.core().next_tick(), worker.clock.now());
  }
}

// However the blocks fall, the bits are the same, and the answers come in order.
TEST(WorkerQueue, AnySpeedGivesTheSameBits) {
  SampleModel model{1};
  for (Duration per_call :
       {milliseconds(1), milliseconds(7), milliseconds(60), milliseconds(500)}) {
    for (int threads : {1, 3}) {
      HarnessOptions options = slow_processor(per_call);
      options.threads = threads;
      WorkerHarness worker(options);
      FakeCoordinator coordinator{worker, model, 1};
      coordinator.fill(2, model.units(2));
      worker.forget_actions();
      std::vector<SampleBatch> batches;
      std::vector<Compute> requests;
      for (uint32_t layer :
           {SampleModel::kSuperBlocks, SampleModel::kBlocks, SampleModel::kFloats}) {
        batches.push_back(model.batch(layer, 11, 3, layer));
        requests.push_back(coordinator.compute_message(batches.back(), 2));
        coordinator.say(requests.back(), FakeCoordinator::frame_of(batches.back()));
      }
      std::vector<WorkerHarness::Sent<Partial>> answers;
      ASSERT_TRUE(run_until(worker, {&coordinator}, seconds(200), [&] {
        for (auto& answer : worker.take<Partial>(coordinator.key())) {
          answers.push_back(std::move(answer));
        }
        return answers.size() == 3;
      }));
      for (size_t i = 0; i < answers.size(); ++i) {
        EXPECT_EQ(answers[i].message.work, requests[i].work);
        EXPECT_TRUE(same(unpacked(requests[i], answers[i], batches[i]), model.solo(batches[i])));
      }
    }
  }
}

// --- several pools ---

// One pool sends prefills without end; the other one's small messages take their turn, and neither
// loses the worker.
TEST(WorkerQueue, PoolsAreServedInTurns) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator busy{worker, model, 1};
  FakeCoordinator other{worker, model, 2};
  busy.fill(1, model.units(1));
  other.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch large = model.batch(SampleModel::kBlocks, 75, 4, 3);
  SampleBatch small = model.batch(SampleModel::kFloats, 1, 2, 4);
  for (int i = 0; i < 4; ++i) {
    busy.say(busy.compute_message(large, 1), FakeCoordinator::frame_of(large));
  }
  Duration longest{0};
  for (int i = 0; i < 20; ++i) {
    TimePoint asked = worker.clock.now();
    Compute request = other.compute_message(small, 1);
    other.say(request, FakeCoordinator::frame_of(small));
    std::vector<WorkerHarness::Sent<Partial>> answers;
    ASSERT_TRUE(run_until(worker, {&busy, &other}, seconds(10), [&] {
      answers = worker.take<Partial>(other.key());
      return !answers.empty();
    }));
    longest = std::max(longest, worker.clock.now() - asked);
    EXPECT_TRUE(same(unpacked(request, answers[0], small), model.solo(small)));
  }
  EXPECT_LE(longest, kBlockTime + 6 * kPerCall) << "a block, a short one, its own";
  EXPECT_EQ(worker.core().pools(), 2u);
  for (const MembershipStatus& status : worker.core().status()) EXPECT_EQ(status.phase, "member");
}

// Two pools that both have more than enough: each gets half.
TEST(WorkerQueue, BusyPoolsShareEvenly) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator first{worker, model, 1};
  FakeCoordinator second{worker, model, 2};
  first.fill(1, model.units(1));
  second.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch large = model.batch(SampleModel::kBlocks, 25, 4, 3);
  SampleBatch small = model.batch(SampleModel::kBlocks, 5, 1, 3);
  for (int i = 0; i < 8; ++i) {
    first.say(first.compute_message(large, 1), FakeCoordinator::frame_of(large));
  }
  for (int i = 0; i < 30; ++i) {
    second.say(second.compute_message(small, 1), FakeCoordinator::frame_of(small));
  }
  run_until(worker, {&first, &second}, seconds(5), [] { return false; });
  uint64_t firsts = 0;
  uint64_t seconds_share = 0;
  for (const MembershipStatus& status : worker.core().status()) {
    (status.coordinator == first.key() ? firsts : seconds_share) = status.units_computed;
  }
  // In 5 s there is time for 250 units.
  EXPECT_GE(firsts, 100u);
  EXPECT_GE(seconds_share, 100u);
}

// --- bounds ---

TEST(WorkerQueue, WhatWaitsIsBounded) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor(seconds(1)));
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 2, 2, 3);
  for (int i = 0; i < 100; ++i) {
    coordinator.say(coordinator.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
  }
  auto refused = worker.take<Partial>(coordinator.key());
  EXPECT_EQ(refused.size(), 100 - 1 - Answering::kRequestsWaiting);
  for (const auto& answer : refused) {
    EXPECT_EQ(answer.message.status, PartialStatus::kBadRequest);
    EXPECT_NE(answer.message.text.find("wait here already"), std::string::npos);
    EXPECT_EQ(answer.message.checksum, checksum_of(answer.message.work, {}, {}));
  }
}

TEST(WorkerQueue, AMessageOrAnswerOfTooManyBytesIsRefused) {
  SampleModel model{1};
  WorkerHarness worker;
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  uint32_t hidden = model.manifest().layer(SampleModel::kSuperBlocks)->shape.hidden;
  uint64_t row = hidden * sizeof(int64_t) + ceil_div(hidden, 32u);
  auto fitting = static_cast<uint32_t>(limits::kTensorBytes / row);
  ASSERT_LT(fitting + 1, limits::kRowsPerMessage) << "or the rows are bounded before the bytes";
  for (uint32_t rows : {fitting, fitting + 1}) {
    SampleBatch batch = model.batch(SampleModel::kSuperBlocks, rows, 1, 3);
    auto answer =
        coordinator.ask(coordinator.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
    bool fits = rows == fitting;
    EXPECT_EQ(answer.message.status, fits ? PartialStatus::kOk : PartialStatus::kBadRequest);
    EXPECT_LE(answer.tensor.size(), limits::kTensorBytes);
  }
}

// The coordinator has restarted: the answers to its earlier requests are of no use.
TEST(WorkerQueue, ANewEpochEndsTheOldWork) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator coordinator{worker, model, 1};
  coordinator.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 75, 4, 3);
  for (int i = 0; i < 3; ++i) {
    coordinator.say(coordinator.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
  }
  ++coordinator.epoch;
  coordinator.welcome();
  run_until(worker, {&coordinator}, seconds(3), [] { return false; });
  EXPECT_TRUE(worker.take<Partial>(coordinator.key()).empty());
  EXPECT_EQ(worker.core().status().at(0).rows_computed, 0u);
}

// A pool that ends takes its work along; the other one's goes on.
TEST(WorkerQueue, APoolThatEndsLeavesNothingBehind) {
  SampleModel model{1};
  WorkerHarness worker(slow_processor());
  FakeCoordinator first{worker, model, 1};
  FakeCoordinator second{worker, model, 2};
  first.fill(1, model.units(1));
  second.fill(1, model.units(1));
  worker.forget_actions();
  SampleBatch batch = model.batch(SampleModel::kBlocks, 20, 4, 3);
  first.say(first.compute_message(batch, 1), FakeCoordinator::frame_of(batch));
  Compute request = second.compute_message(batch, 1);
  second.say(request, FakeCoordinator::frame_of(batch));
  first.say(Goodbye{first.epoch, ""});
  EXPECT_EQ(worker.core().pools(), 1u);
  std::vector<WorkerHarness::Sent<Partial>> answers;
  ASSERT_TRUE(run_until(worker, {&second}, seconds(5), [&] {
    answers = worker.take<Partial>(second.key());
    return !answers.empty();
  }));
  EXPECT_TRUE(same(unpacked(request, answers[0], batch), model.solo(batch)));
  EXPECT_TRUE(worker.take<Partial>(first.key()).empty());
}

// --- how much is a block ---

TEST(BlockPace, BlocksTakeAboutTheirBudget) {
  BlockPace pace;
  constexpr uint64_t kBytes = 100'000;
  constexpr double kNanosecondsPerByte = 2.5;
  Duration longest{0};
  uint64_t calls = 0;
  for (int block = 0; block < 20; ++block) {
    pace.begin();
    while (pace.take(kBytes, true, kBlockTime) && pace.calls() < 100'000) {
    }
    calls = pace.calls();
    Duration took(static_cast<int64_t>(static_cast<double>(calls * kBytes) * kNanosecondsPerByte));
    longest = std::max(longest, took);
    pace.end(took, Duration::zero(), 0);
  }
  EXPECT_LE(longest, kBlockTime + milliseconds(1));
  EXPECT_NEAR(static_cast<double>(calls), 400, 10);
}

TEST(BlockPace, OneCallIsAlwaysTakenAndASlowDiskMakesBlocksShort) {
  BlockPace pace;
  pace.begin();
  EXPECT_TRUE(pace.take(kGiB, false, milliseconds(1)));
  EXPECT_FALSE(pace.take(1, false, milliseconds(1)));
  pace.end(milliseconds(1), seconds(200), kGiB);  // 5 MB/s
  pace.begin();
  while (pace.take(kMiB, false, kBlockTime)) {
  }
  EXPECT_EQ(pace.calls(), 1u);
  pace.begin();
  while (pace.take(kMiB, true, kBlockTime) && pace.calls() < 1000) {
  }
  EXPECT_EQ(pace.calls(), 1000u) << "a unit is read once for all its rows";
}

}  // namespace
}  // namespace potluck::test
