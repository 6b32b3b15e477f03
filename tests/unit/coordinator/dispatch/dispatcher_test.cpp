// How work is spread, and what happens when workers are slow, silent or gone.
#include "coordinator/dispatch/dispatcher.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::answer_to;
using test::any_contains;
using test::compute_locally;
using test::compute_of;
using test::DispatchFixture;
using test::kSampleEpoch;
using test::NumberedBatch;
using test::peer;

TEST(Dispatcher, OneWorkerThatHoldsEverythingGetsOneMessage) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 2, 5, 3);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_FALSE(f.dispatcher.done(ticket));
  EXPECT_FALSE(f.dispatcher.take_local_work());
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(outgoing[0].peer, peer(1));
  EXPECT_EQ(outgoing[0].channel, Channel::kCompute);
  const Compute& compute = compute_of(outgoing[0]);
  EXPECT_EQ(compute.work.epoch, kSampleEpoch);
  EXPECT_EQ(compute.work.layer, 2u);
  EXPECT_EQ(compute.work.attempt, 0u);
  EXPECT_EQ(compute.slices, 2u);
  EXPECT_EQ(compute.columns, 64u);
  ASSERT_EQ(compute.rows.size(), 5u);
  for (const ComputeRow& row : compute.rows) EXPECT_EQ(row.calls.size(), 6u);
  EXPECT_EQ(outgoing[0].tensor.size(), 5 * activation_wire_bytes(ActivationForm::kF32, 64));
  f.answer(outgoing[0]);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(work.sums.flags, std::vector<uint8_t>(5, 0));
  EXPECT_EQ(f.statistics().batches, 1u);
  EXPECT_EQ(f.statistics().messages, 1u);
  EXPECT_EQ(f.statistics().remote_unit_calls, work.unit_calls(2));
  EXPECT_EQ(f.statistics().local_unit_calls, 0u);
  EXPECT_EQ(f.statistics().work.compute, 100u);
  f.dispatcher.forget(ticket);
}

TEST(Dispatcher, TheAnswerIsResetFirst) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 2, 2);
  work.sums.sums.assign(7, 99);
  work.sums.flags.assign(9, 1);
  f.dispatcher.submit(work.batch(), &work.sums);
  f.answer_all();
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(work.sums.flags, std::vector<uint8_t>(2, 0));
}

TEST(Dispatcher, EveryWorkerConcernedGetsOneMessageWithItsRowsOnly) {
  DispatchFixture f;
  f.add_worker(1, f.units(0, 3));
  f.add_worker(2, f.units(3, 6));
  f.add_worker(3, f.units(6, 8));
  NumberedBatch work(f.manifest, 0, 20, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 3u);
  uint64_t calls = 0;
  for (const OutgoingMessage& message : outgoing) {
    for (const ComputeRow& row : compute_of(message).rows) {
      EXPECT_FALSE(row.calls.empty());
      calls += row.calls.size();
    }
  }
  EXPECT_EQ(calls, work.unit_calls(2));
  // In any order.
  std::reverse(outgoing.begin(), outgoing.end());
  for (const OutgoingMessage& message : outgoing) {
    EXPECT_FALSE(f.dispatcher.done(ticket));
    f.answer(message);
  }
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST(Dispatcher, WhatNobodyHoldsIsLocalWork) {
  DispatchFixture f;
  f.add_worker(1, f.units(0, 4));
  NumberedBatch work(f.manifest, 2, 6, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  f.answer_all();
  EXPECT_FALSE(f.dispatcher.done(ticket));
  auto local = f.dispatcher.take_local_work();
  ASSERT_TRUE(local);
  EXPECT_EQ(local->ticket, ticket);
  EXPECT_EQ(local->batch, &work.batch());
  for (const ExpertCall& call : local->calls) {
    EXPECT_GE(call.expert, 4u);
    EXPECT_EQ(call.grains, (GrainRange{0, 8}));  // both slices in one
  }
  EXPECT_FALSE(f.dispatcher.done(ticket));
  compute_locally(f.manifest, *local);
  f.dispatcher.local_done(ticket);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().local_unit_calls + f.statistics().remote_unit_calls, work.unit_calls(2));
  EXPECT_EQ(f.statistics().local_unit_calls, 2 * local->calls.size());
}

TEST(Dispatcher, WithoutWorkersEverythingIsLocal) {
  DispatchFixture f;
  NumberedBatch work(f.manifest, 0, 300, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
  // In several pieces of whole experts.
  std::set<uint32_t> finished;
  size_t pieces = 0;
  while (auto local = f.dispatcher.take_local_work()) {
    std::set<uint32_t> experts;
    for (const ExpertCall& call : local->calls) experts.insert(call.expert);
    for (uint32_t expert : experts) EXPECT_TRUE(finished.insert(expert).second);
    compute_locally(f.manifest, *local);
    f.dispatcher.local_done(ticket);
    ++pieces;
  }
  EXPECT_GT(pieces, 1u);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().batches, 0u);
}

TEST(Dispatcher, ABatchWithoutRowsIsDone) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 0, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
}

TEST(Dispatcher, ReplicasShareTheWork) {
  DispatchFixture f(1);
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) f.add_worker(number, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 6);
  f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 3u);
  for (const OutgoingMessage& message : outgoing) {
    EXPECT_EQ(compute_of(message).rows[0].calls.size(), 2u);
  }
}

TEST(Dispatcher, AmongEqualsTheLowestNumberIsChosen) {
  DispatchFixture f(1);
  f.add_worker(4, f.all_units());
  f.add_worker(2, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  EXPECT_EQ(outgoing[0].peer, peer(2));
}

TEST(Dispatcher, AUnitGoesToOneWorkerWithAllItsRows) {
  DispatchFixture f;
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) f.add_worker(number, f.all_units());
  NumberedBatch work(f.manifest, 0, 60, 2);
  f.dispatcher.submit(work.batch(), &work.sums);
  std::map<std::pair<uint16_t, uint16_t>, PeerKey> owner;
  for (auto asked = f.dispatcher.take_outgoing(); !asked.empty();
       asked = f.dispatcher.take_outgoing()) {
    for (const OutgoingMessage& message : asked) {
      for (const ComputeRow& row : compute_of(message).rows) {
        for (const UnitCall& call : row.calls) {
          auto [entry, first] = owner.emplace(std::pair{call.expert, call.slice}, message.peer);
          EXPECT_EQ(entry->second, message.peer);
        }
      }
      f.answer(message);
    }
  }
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST(Dispatcher, EmptySlicesAreNotAskedFor) {
  DispatchFixture f(12);  // more than the 8 grains
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 2, 2);
  f.dispatcher.submit(work.batch(), &work.sums);
  f.answer_all();
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().remote_unit_calls, 2u * 2 * 8);
}

TEST(Dispatcher, SeveralBatchesAreInFlightAtOnce) {
  DispatchFixture f;
  f.add_worker(1, f.units(0, 4));
  f.add_worker(2, f.units(4, 8));
  NumberedBatch first(f.manifest, 0, 4, 2, 5);
  NumberedBatch second(f.manifest, 2, 3, 3, 6);
  uint64_t one = f.dispatcher.submit(first.batch(), &first.sums);
  uint64_t two = f.dispatcher.submit(second.batch(), &second.sums);
  EXPECT_NE(one, two);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 4u);
  for (size_t i : {3, 0, 2, 1}) f.answer(outgoing[i]);
  EXPECT_TRUE(f.dispatcher.done(one));
  EXPECT_TRUE(f.dispatcher.done(two));
  EXPECT_EQ(first.sums.sums, first.expected());
  EXPECT_EQ(second.sums.sums, second.expected());
}

TEST(Dispatcher, RequestsAreNeverReused) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  std::set<uint64_t> seen;
  NumberedBatch work(f.manifest, 0, 1, 1);
  for (int i = 0; i < 20; ++i) {
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
    ASSERT_EQ(outgoing.size(), 1u);
    EXPECT_TRUE(seen.insert(compute_of(outgoing[0]).work.request).second);
    f.answer(outgoing[0]);
    f.dispatcher.forget(ticket);
  }
}

TEST(Dispatcher, WorkOfALostWorkerGoesToAnotherHolderAtOnce) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  f.add_worker(2, f.units(0, 4));
  NumberedBatch work(f.manifest, 0, 8, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 2u);
  f.lose(1);
  std::vector<OutgoingMessage> again = f.dispatcher.take_outgoing();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].peer, peer(2));
  EXPECT_EQ(compute_of(again[0]).work.attempt, 1u);
  for (const OutgoingMessage& message : outgoing) {
    if (message.peer == peer(2)) f.answer(message);
  }
  f.answer(again[0]);
  EXPECT_FALSE(f.dispatcher.done(ticket));  // experts 4 to 7 have no holder left
  f.run_local_work();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().retries, 1u);
}

TEST(Dispatcher, AnAnswerOfALostWorkerIsDropped) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 3, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  f.lose(1);
  f.answer(outgoing[0]);
  EXPECT_EQ(f.statistics().late_replies, 1u);
  EXPECT_EQ(f.statistics().remote_unit_calls, 0u);
  EXPECT_FALSE(f.dispatcher.done(ticket));
  f.run_local_work();
  f.answer(outgoing[0]);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST(Dispatcher, AllWorkersMayDieAtOnce) {
  DispatchFixture f;
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3, 4}) f.add_worker(number, f.all_units());
  NumberedBatch work(f.manifest, 2, 9, 4);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  f.dispatcher.take_outgoing();
  for (uint8_t number : std::vector<uint8_t>{3, 1, 4, 2}) f.lose(number);
  f.run_local_work();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_FALSE(f.dispatcher.next_deadline());
}

TEST(Dispatcher, AMissedDeadlineGivesTheWorkToSomebodyElse) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  f.add_worker(2, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> first = f.dispatcher.take_outgoing();
  ASSERT_EQ(first.size(), 2u);  // a slice each
  f.answer(first[1]);
  ASSERT_TRUE(f.dispatcher.next_deadline());
  TimePoint deadline = *f.dispatcher.next_deadline();
  EXPECT_GE(deadline, f.clock.now() + seconds(1));
  f.clock.set(deadline - milliseconds(1));
  f.dispatcher.on_tick();
  EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
  f.clock.set(deadline);
  f.dispatcher.on_tick();
  std::vector<OutgoingMessage> second = f.dispatcher.take_outgoing();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].peer, peer(2));
  EXPECT_EQ(compute_of(second[0]).work.attempt, 1u);
  EXPECT_NE(compute_of(second[0]).work.request, compute_of(first[0]).work.request);
  EXPECT_TRUE(any_contains(f.dispatcher.take_notices(), "worker 1 (w1, "));
  // Both answer now; only one counts.
  f.answer(second[0]);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  f.answer(first[0]);
  EXPECT_EQ(work.sums.sums, work.expected());
  EXPECT_EQ(f.statistics().late_replies, 1u);
}

TEST(Dispatcher, AnOverdueWorkerRestsUntilItIsHeardFrom) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  f.dispatcher.take_outgoing();
  f.clock.set(*f.dispatcher.next_deadline());
  f.dispatcher.on_tick();
  f.run_local_work();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  f.clock.advance(seconds(1));
  f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
  f.dispatcher.heard_from(peer(1));
  f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_EQ(f.dispatcher.take_outgoing().size(), 1u);
}

TEST(Dispatcher, ALateAnswerIsASignOfLifeAndTeachesPatience) {
  DispatchFixture f;
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  f.clock.advance(seconds(7));
  f.dispatcher.on_tick();
  f.run_local_work();
  f.answer(outgoing[0]);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_EQ(f.dispatcher.take_outgoing().size(), 1u);
  EXPECT_GT(*f.dispatcher.next_deadline(), f.clock.now() + seconds(7));
  EXPECT_FALSE(f.dispatcher.done(ticket));
}

TEST(Dispatcher, EveryAttemptAtAPieceFailsAndTheCoordinatorEndsIt) {
  DispatchFixture f(1);
  for (uint8_t number = 1; number <= 9; ++number) f.add_worker(number, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  uint32_t attempts = 0;
  for (std::vector<OutgoingMessage> out = f.dispatcher.take_outgoing(); !out.empty();
       out = f.dispatcher.take_outgoing()) {
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(compute_of(out[0]).work.attempt, attempts++);
    ASSERT_LT(attempts, 20u);
    f.clock.set(*f.dispatcher.next_deadline());
    f.dispatcher.on_tick();
  }
  EXPECT_GE(attempts, 3u);
  f.run_local_work();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST(Dispatcher, AForgottenTicketLeavesNothingBehind) {
  DispatchFixture f;
  f.add_worker(1, f.units(0, 4));
  NumberedBatch work(f.manifest, 0, 6, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  f.dispatcher.forget(ticket);
  EXPECT_FALSE(f.dispatcher.next_deadline());
  EXPECT_FALSE(f.dispatcher.take_local_work());
  std::vector<int64_t> before = work.sums.sums;
  f.answer(outgoing[0]);
  EXPECT_EQ(work.sums.sums, before);
  EXPECT_EQ(f.statistics().late_replies, 1u);
}

TEST(Dispatcher, WhoOwesAnAnswerForAWhileIsWaitedFor) {
  DispatchFixture f;
  f.add_worker(1, f.units(0, 4));
  f.add_worker(2, f.units(4, 8));
  auto next_waiting = [&] {
    TimePoint next = TimePoint::max();
    f.dispatcher.visit_owed([&](const PeerKey&, TimePoint at) { next = std::min(next, at); });
    return next;
  };
  EXPECT_TRUE(f.dispatcher.waiting_for().empty());
  EXPECT_EQ(next_waiting(), TimePoint::max());
  NumberedBatch work(f.manifest, 0, 16, 2);
  f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 2u);
  EXPECT_TRUE(f.dispatcher.waiting_for().empty());
  EXPECT_EQ(next_waiting(), f.clock.now() + kWaitingAfter);
  f.clock.advance(kWaitingAfter);
  EXPECT_EQ(f.dispatcher.waiting_for().size(), 2u);
  EXPECT_EQ(next_waiting(), f.clock.now());  // and stays so until the answer comes
  f.answer(outgoing[0]);
  EXPECT_EQ(f.dispatcher.waiting_for(), std::vector{outgoing[1].peer});
  f.answer(outgoing[1]);
  EXPECT_TRUE(f.dispatcher.waiting_for().empty());
}

// Answers in any order, doubled, too late, bad, workers dying and coming back at any moment, time
// passing: every ticket ends, and every answer is exact.
TEST(Dispatcher, AnyCourseOfEventsEndsWithTheExactAnswer) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    DispatchFixture f(static_cast<uint32_t>(1 + seed % 4), 32);
    auto join = [&](uint8_t number) {
      auto first = static_cast<uint16_t>(random.bits(number, 1) % 6);
      f.add_worker(number, f.units(first, static_cast<uint16_t>(first + 3)));
    };
    for (uint8_t number = 1; number <= 5; ++number) join(number);
    std::vector<OutgoingMessage> in_flight;
    for (uint64_t round = 0; round < 6; ++round) {
      NumberedBatch work(f.manifest, round % 2 == 0 ? 0 : 2, static_cast<uint32_t>(1 + round), 2,
                         seed * 10 + round);
      uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
      uint64_t step = 0;
      for (; !f.dispatcher.done(ticket) && step < 2000; ++step) {
        uint64_t position = 1000 + round * 10'000 + step;
        for (OutgoingMessage& out : f.dispatcher.take_outgoing())
          in_flight.push_back(std::move(out));
        uint64_t which = random.bits(position);
        auto number = static_cast<uint8_t>(1 + random.bits(position, 1) % 5);
        switch (random.bits(position, 2) % 16) {
          case 0:
            f.come_or_go(number, join);
            break;
          case 1:
            f.clock.advance(milliseconds(400));
            f.dispatcher.on_tick();
            break;
          case 2:
            f.run_local_work();
            break;
          case 3:
            if (!in_flight.empty()) {
              test::Answer bad = answer_to(f.manifest, in_flight[which % in_flight.size()]);
              bad.partial.checksum ^= 1;
              f.deliver(in_flight[which % in_flight.size()].peer, bad);
            }
            break;
          case 4:
            if (!in_flight.empty()) f.answer(in_flight[which % in_flight.size()]);  // stays
            break;
          case 5:
            if (!in_flight.empty()) {
              f.deliver(peer(number), answer_to(f.manifest, in_flight[which % in_flight.size()]));
            }
            break;
          default:
            if (!in_flight.empty()) {
              auto chosen = in_flight.begin() + static_cast<ptrdiff_t>(which % in_flight.size());
              f.answer(*chosen);
              in_flight.erase(chosen);
            }
        }
      }
      ASSERT_LT(step, 2000u);
      ASSERT_EQ(work.sums.sums, work.expected());
      f.dispatcher.forget(ticket);
    }
  }
}

}  // namespace
}  // namespace potluck
