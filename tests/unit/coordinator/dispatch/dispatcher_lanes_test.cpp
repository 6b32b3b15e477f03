// How much a worker is asked at a time, how long it may take, and what is remembered about it.
#include <algorithm>

#include <gtest/gtest.h>

#include "coordinator/dispatch/dispatcher.h"
#include "engine/base/limits.h"
#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::answer_to;
using test::compute_of;
using test::DispatchFixture;
using test::NumberedBatch;
using test::peer;

// A worker that computes one message after the other and takes a time for each message and for each
// of its rows. Answers are handed in when they are due; beats as often as a worker sends them.
class SlowWorkers {
 public:
  SlowWorkers(DispatchFixture& fixture, Duration per_call, Duration per_row)
      : f_(fixture), per_call_(per_call), per_row_(per_row) {}

  // False if the ticket does not end within the time.
  bool run(uint64_t ticket, Duration limit) {
    TimePoint end = f_.clock.now() + limit;
    while (!f_.dispatcher.done(ticket)) {
      take();
      if (f_.clock.now() >= end) return false;
      TimePoint next = f_.clock.now() + milliseconds(500);
      if (auto deadline = f_.dispatcher.next_deadline()) next = std::min(next, *deadline);
      if (!queue_.empty()) next = std::min(next, queue_.front().due);
      f_.clock.set(std::max(next, f_.clock.now()));
      for (uint8_t number = 1; number < 10; ++number) f_.dispatcher.heard_from(peer(number));
      answer_due();
      f_.dispatcher.on_tick();
      f_.run_local_work();
    }
    return true;
  }

  std::vector<size_t> rows_asked;  // of each message
  size_t most_owed = 0;
  uint64_t most_bytes = 0;

 private:
  struct Asked {
    OutgoingMessage message;
    TimePoint due;
  };

  void take() {
    for (OutgoingMessage& message : f_.dispatcher.take_outgoing()) {
      size_t rows = compute_of(message).rows.size();
      rows_asked.push_back(rows);
      most_bytes = std::max<uint64_t>(most_bytes, message.tensor.size());
      TimePoint start = queue_.empty() ? f_.clock.now() : queue_.back().due;
      Duration takes = per_call_ + static_cast<int64_t>(rows) * per_row_;
      queue_.push_back({std::move(message), std::max(start, f_.clock.now()) + takes});
    }
    most_owed = std::max(most_owed, queue_.size());
  }

  void answer_due() {
    while (!queue_.empty() && queue_.front().due <= f_.clock.now()) {
      OutgoingMessage message = std::move(queue_.front().message);
      queue_.pop_front();
      f_.answer(message);
      take();
    }
  }

  DispatchFixture& f_;
  Duration per_call_;
  Duration per_row_;
  std::deque<Asked> queue_;
};

TEST(DispatcherLanes, LargeBatchesAreCutBetweenRowsAndFitTogether) {
  DispatchFixture f(1, 32);
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, limits::kRowsPerMessage + 904, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  SlowWorkers workers(f, milliseconds(1), std::chrono::microseconds(1));
  ASSERT_TRUE(workers.run(ticket, seconds(10)));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().remote_unit_calls, work.unit_calls(1));
  EXPECT_EQ(f.statistics().retries, 0u);
  EXPECT_EQ(f.statistics().batches, 1u);
  EXPECT_EQ(workers.rows_asked.front(), DeadlineEstimator::kFirstRows) << "nothing is known yet";
  for (size_t rows : workers.rows_asked) EXPECT_LE(rows, limits::kRowsPerMessage);
}

// The activations, and the sums were nothing saved by packing, stay within a message's bytes.
TEST(DispatcherLanes, NoMessageIsLargerThanItsLimit) {
  constexpr uint32_t kHidden = 8192;
  DispatchFixture f(1, kHidden);
  f.add_worker(1, f.all_units());
  SlowWorkers workers(f, Duration(0), Duration(0));
  for (int round = 0; round < 3; ++round) {
    NumberedBatch work(f.manifest, 0, 200, 1, 7);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    ASSERT_TRUE(workers.run(ticket, seconds(10)));
    f.dispatcher.forget(ticket);
  }
  EXPECT_LE(workers.most_bytes, limits::kTensorBytes);
  size_t most = *std::max_element(workers.rows_asked.begin(), workers.rows_asked.end());
  EXPECT_LE(most * kHidden * sizeof(int64_t), limits::kTensorBytes);
  EXPECT_GE(most, 50u) << "a fast worker is asked for as much as a message holds";
}

TEST(DispatcherLanes, AMessageIsAboutASecondOfTheWorkersWork) {
  struct Case {
    Duration per_call;
    Duration per_row;
    size_t least;
    size_t most;
  };
  for (Case c : {Case{milliseconds(1), milliseconds(10), 60, 130},
                 Case{milliseconds(50), milliseconds(100), 7, 13},
                 Case{milliseconds(0), milliseconds(500), 1, 3},
                 // Reading the experts takes it longer than all rows: cutting would not help.
                 Case{milliseconds(1500), milliseconds(1), 256, 512}}) {
    DispatchFixture f(1, 32);
    f.add_worker(1, f.all_units());
    SlowWorkers workers(f, c.per_call, c.per_row);
    for (int round = 0; round < 12; ++round) {
      workers.rows_asked.clear();
      NumberedBatch work(f.manifest, 0, 512, 2);
      uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
      ASSERT_TRUE(workers.run(ticket, seconds(1200)));
      ASSERT_EQ(work.sums.sums, work.expected());
      f.dispatcher.forget(ticket);
    }
    size_t most = *std::max_element(workers.rows_asked.begin(), workers.rows_asked.end());
    EXPECT_GE(most, c.least) << c.per_row.count();
    EXPECT_LE(most, c.most) << c.per_row.count();
    EXPECT_LE(workers.most_owed, WorkerTrack::kMessagesAhead);
  }
}

// An honest worker of half a second per row: slower than any first guess, but never given up.
TEST(DispatcherLanes, ASlowHonestWorkerKeepsItsWork) {
  DispatchFixture f(1, 32);
  f.add_worker(1, f.all_units());
  SlowWorkers workers(f, milliseconds(10), milliseconds(250));
  for (uint32_t rows : {24u, 1u, 1u, 64u, 1u, 300u}) {
    NumberedBatch work(f.manifest, 0, rows, 2);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    ASSERT_TRUE(workers.run(ticket, seconds(1000)));
    EXPECT_EQ(work.sums.sums, work.expected());
    f.dispatcher.forget(ticket);
  }
  EXPECT_EQ(f.statistics().retries, 0u);
  EXPECT_EQ(f.statistics().local_unit_calls, 0u);
}

// What waits for a worker that fails goes to others with what it was asked.
TEST(DispatcherLanes, WhatWaitsIsGivenAwayWithTheRest) {
  for (bool lost : {false, true}) {
    DispatchFixture f(1, 32);
    f.add_worker(1, f.all_units());
    NumberedBatch work(f.manifest, 0, 300, 2);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    ASSERT_EQ(f.dispatcher.take_outgoing().size(), 1u);
    if (lost) {
      f.lose(1);
    } else {
      f.clock.set(*f.dispatcher.next_deadline());
      f.dispatcher.on_tick();
    }
    EXPECT_FALSE(f.dispatcher.next_deadline());
    f.run_local_work();
    EXPECT_TRUE(f.dispatcher.done(ticket));
    EXPECT_EQ(work.sums.sums, work.expected());
    EXPECT_EQ(f.statistics().local_unit_calls, work.unit_calls(1));
  }
}

TEST(DispatcherLanes, AForgottenTicketMakesRoomForWhatWaitsBehindIt) {
  DispatchFixture f(1, 32);
  f.add_worker(1, f.all_units());
  NumberedBatch first(f.manifest, 0, 100, 2);
  NumberedBatch second(f.manifest, 2, 3, 2);
  uint64_t one = f.dispatcher.submit(first.batch(), &first.sums);
  uint64_t two = f.dispatcher.submit(second.batch(), &second.sums);
  ASSERT_EQ(f.dispatcher.take_outgoing().size(), 1u);
  f.dispatcher.forget(one);
  std::vector<OutgoingMessage> next = f.dispatcher.take_outgoing();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(compute_of(next[0]).work.layer, 2u);
  f.answer(next[0]);
  EXPECT_TRUE(f.dispatcher.done(two));
  EXPECT_EQ(second.sums.sums, second.expected());
}

// --- what is remembered ---

// A worker that is greeted again, or lost and back, has not become another one.
TEST(DispatcherLanes, NeitherLossNorGreetingEndsARest) {
  for (bool rejoins : {false, true}) {
    DispatchFixture f;
    f.add_worker(1, f.all_units());
    NumberedBatch work(f.manifest, 0, 1, 1);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    test::Answer bad = answer_to(f.manifest, f.dispatcher.take_outgoing().at(0));
    bad.partial.checksum ^= 1;
    f.deliver(peer(1), bad);
    f.dispatcher.forget(ticket);
    auto comes_back = [&] {
      if (rejoins) {
        f.lose(1);
      } else {
        f.dispatcher.on_worker_lost(peer(1));
      }
      f.add_worker(1, f.all_units());
      f.dispatcher.heard_from(peer(1));
    };
    comes_back();
    ticket = f.dispatcher.submit(work.batch(), &work.sums);
    EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
    f.dispatcher.forget(ticket);
    f.clock.advance(seconds(1));
    comes_back();
    ticket = f.dispatcher.submit(work.batch(), &work.sums);
    EXPECT_EQ(f.dispatcher.take_outgoing().size(), 1u);
  }
}

TEST(DispatcherLanes, WhatIsKnownAboutAWorkersSpeedOutlivesItsLoss) {
  DispatchFixture f(1, 32);
  f.add_worker(1, f.all_units());
  SlowWorkers workers(f, Duration(0), milliseconds(100));
  NumberedBatch work(f.manifest, 0, 64, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  ASSERT_TRUE(workers.run(ticket, seconds(100)));
  f.dispatcher.forget(ticket);
  f.lose(1);
  f.add_worker(1, f.all_units());
  f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> asked = f.dispatcher.take_outgoing();
  ASSERT_FALSE(asked.empty());
  EXPECT_LE(compute_of(asked[0]).rows.size(), 12u) << "about a second of its work";
}

// A worker that beats and never answers costs one deadline, not one for each batch.
TEST(DispatcherLanes, AWorkerThatOnlyTalksIsAskedLessAndLess) {
  DispatchFixture f(1, 32);
  f.add_worker(1, f.all_units());
  Duration waited{0};
  for (int batch = 0; batch < 200; ++batch) {
    NumberedBatch work(f.manifest, 0, 1, 2);
    TimePoint start = f.clock.now();
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    f.dispatcher.take_outgoing();
    f.run_local_work();
    while (!f.dispatcher.done(ticket)) {
      f.clock.advance(milliseconds(50));
      f.dispatcher.heard_from(peer(1));
      f.dispatcher.on_tick();
      f.run_local_work();
    }
    waited += f.clock.now() - start;
    f.dispatcher.forget(ticket);
    f.clock.advance(milliseconds(100));
    f.dispatcher.heard_from(peer(1));
  }
  EXPECT_LT(waited, seconds(15));
}

}  // namespace
}  // namespace potluck
