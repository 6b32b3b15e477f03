// Several holders are asked for the same, because an answer is late.
#include <gtest/gtest.h>

#include "coordinator/dispatch/dispatcher.h"
#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::answer_to;
using test::any_contains;
using test::DispatchFixture;
using test::NumberedBatch;
using test::peer;

// Worker 1 is known to answer within 2 ms, and has not answered this batch of one call.
class RacesTest : public testing::Test {
 protected:
  RacesTest() : f_(1), work_(f_.manifest, 0, 1, 1) { f_.add_worker(1, f_.all_units()); }

  void begin(size_t taught = 60) {
    f_.teach(taught, milliseconds(2));
    ticket_ = f_.dispatcher.submit(work_.batch(), &work_.sums);
    first_ = f_.dispatcher.take_outgoing();
    ASSERT_EQ(first_.size(), 1u);
    ASSERT_EQ(first_[0].peer, peer(1));
  }
  std::vector<OutgoingMessage> asked_after(Duration wait) {
    f_.clock.advance(wait);
    f_.dispatcher.on_tick();
    return f_.dispatcher.take_outgoing();
  }
  void expect_done() {
    EXPECT_TRUE(f_.dispatcher.done(ticket_));
    EXPECT_EQ(work_.sums.sums, work_.expected());
  }

  DispatchFixture f_;
  NumberedBatch work_;
  uint64_t ticket_ = 0;
  std::vector<OutgoingMessage> first_;
};

TEST_F(RacesTest, ALateAnswerIsAskedForAgainAndTheFirstOneCounts) {
  f_.add_worker(2, f_.all_units());
  begin();
  EXPECT_EQ(f_.dispatcher.next_due(), f_.clock.now() + kHedgeFloor);
  EXPECT_TRUE(asked_after(kHedgeFloor - microseconds(1)).empty());
  std::vector<OutgoingMessage> second = asked_after(microseconds(1));
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].peer, peer(2));
  EXPECT_EQ(f_.statistics().hedges, 1u);
  EXPECT_FALSE(f_.dispatcher.done(ticket_));
  f_.answer(second[0]);
  expect_done();
  EXPECT_EQ(f_.statistics().hedges_won, 1u);
  // The other answer is evidence, and changes nothing.
  f_.answer(first_[0]);
  expect_done();
  EXPECT_EQ(f_.statistics().answers_alike, 1u);
  EXPECT_EQ(f_.statistics().late_replies, 0u);
  EXPECT_EQ(f_.statistics().remote_unit_calls, 61u);
  EXPECT_FALSE(f_.dispatcher.next_deadline());
  f_.dispatcher.forget(ticket_);
}

TEST_F(RacesTest, TheFirstOneMayAlsoBeTheOneThatWasLate) {
  f_.add_worker(2, f_.all_units());
  begin();
  std::vector<OutgoingMessage> second = asked_after(kHedgeFloor);
  ASSERT_EQ(second.size(), 1u);
  f_.answer(first_[0]);
  expect_done();
  // Its ticket may end before the second answer comes.
  f_.dispatcher.forget(ticket_);
  EXPECT_EQ(f_.statistics().hedges_won, 0u);
  f_.answer(second[0]);
  EXPECT_EQ(f_.statistics().answers_alike, 1u);
  EXPECT_FALSE(f_.dispatcher.next_deadline());
}

TEST_F(RacesTest, HedgesKeepToTheirBudget) {
  f_.add_worker(2, f_.all_units());
  begin(200);
  f_.answer(first_[0]);
  f_.dispatcher.forget(ticket_);
  uint64_t before = f_.statistics().messages;
  uint64_t hedges = 0;
  for (int i = 0; i < 400; ++i) {
    ticket_ = f_.dispatcher.submit(work_.batch(), &work_.sums);
    first_ = f_.dispatcher.take_outgoing();
    std::vector<OutgoingMessage> second = asked_after(milliseconds(30));
    hedges += second.size();
    for (const OutgoingMessage& message : first_) f_.answer(message);
    for (const OutgoingMessage& message : second) f_.answer(message);
    expect_done();
    f_.dispatcher.forget(ticket_);
  }
  EXPECT_EQ(f_.statistics().hedges, hedges);
  EXPECT_LE(hedges, HedgeBudget::kMost + 1 + HedgeBudget::kShare * 400);
  EXPECT_LE(hedges, f_.statistics().messages - before);
}

TEST(Races, ABusierHolderIsNotAskedForALateAnswer) {
  DispatchFixture f(1);
  std::vector<UnitId> first_layer = f.all_units();
  std::erase_if(first_layer, [](UnitId unit) { return unit.layer != 0; });
  f.add_worker(1, first_layer);
  f.add_worker(2, f.all_units());
  f.teach(60, milliseconds(2));
  NumberedBatch late(f.manifest, 0, 1, 1);
  NumberedBatch other(f.manifest, 2, 4, 1);
  f.dispatcher.submit(late.batch(), &late.sums);
  f.dispatcher.submit(other.batch(), &other.sums);
  ASSERT_EQ(f.dispatcher.take_outgoing().size(), 2u);
  f.clock.advance(kHedgeFloor);
  f.dispatcher.on_tick();
  EXPECT_EQ(f.statistics().hedges, 0u);
  // Silence is another matter.
  f.clock.advance(kRedispatchFloor);
  f.dispatcher.on_tick();
  EXPECT_EQ(f.statistics().retries, 1u);
}

// Not within a budget: 50 ms, or three times what 99 of 100 answers take.
TEST_F(RacesTest, ASilentWorkersWorkIsDispatchedAgainAfterItsTail) {
  f_.add_worker(2, f_.all_units());
  begin(28);                                       // just known
  EXPECT_EQ(asked_after(kHedgeFloor).size(), 1u);  // takes the budget
  f_.answer(first_[0]);
  f_.dispatcher.forget(ticket_);
  ticket_ = f_.dispatcher.submit(work_.batch(), &work_.sums);
  first_ = f_.dispatcher.take_outgoing();
  ASSERT_EQ(first_.size(), 1u);
  EXPECT_TRUE(asked_after(milliseconds(49)).empty());
  std::vector<OutgoingMessage> second = asked_after(milliseconds(10));
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(second[0].peer, first_[0].peer);
  EXPECT_EQ(f_.statistics().retries, 1u);
  f_.answer(second[0]);
  expect_done();
  // While it is silent it gets nothing that another one holds; its answer ends that.
  NumberedBatch next(f_.manifest, 0, 1, 1);
  f_.dispatcher.submit(next.batch(), &next.sums);
  std::vector<OutgoingMessage> third = f_.dispatcher.take_outgoing();
  ASSERT_EQ(third.size(), 1u);
  EXPECT_EQ(third[0].peer, second[0].peer);
}

// Nobody else is ready: the coordinator's own computation costs more than waiting.
TEST_F(RacesTest, WithoutAnotherHolderTheLateDeadlineStays) {
  begin();
  for (int i = 0; i < 9; ++i) {
    EXPECT_TRUE(asked_after(milliseconds(100)).empty());
    EXPECT_FALSE(f_.dispatcher.has_local_work());
  }
  EXPECT_TRUE(asked_after(milliseconds(100)).empty());
  EXPECT_TRUE(f_.dispatcher.has_local_work());
  f_.run_local_work();
  expect_done();
}

// One that becomes ready meanwhile is asked.
TEST_F(RacesTest, AHolderThatComesLaterIsAskedAsSoonAsItIsReady) {
  begin();
  EXPECT_TRUE(asked_after(milliseconds(200)).empty());
  f_.add_worker(2, f_.all_units());
  EXPECT_EQ(asked_after(milliseconds(50)).size(), 1u);
}

TEST_F(RacesTest, SeveralHoldersMayTakeTheOtherSideTogether) {
  f_.add_worker(2, f_.units(0, 4));
  f_.add_worker(3, f_.units(4, 8));
  f_.teach(60, milliseconds(2));
  NumberedBatch work(f_.manifest, 0, 3, 4);
  ClusterState only_first = f_.cluster;
  // Worker 1 alone is there when the work comes.
  f_.cluster.apply(UnitsLost{peer(2), f_.units(0, 4)});
  f_.cluster.apply(UnitsLost{peer(3), f_.units(4, 8)});
  uint64_t ticket = f_.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> first = f_.dispatcher.take_outgoing();
  ASSERT_EQ(first.size(), 1u);
  f_.cluster = only_first;
  std::vector<OutgoingMessage> second = asked_after(milliseconds(999));
  // Nothing is known of messages of this size: at the last deadline they take over.
  if (second.empty()) second = asked_after(seconds(30));
  ASSERT_EQ(second.size(), 2u);
  f_.answer(second[0]);
  EXPECT_FALSE(f_.dispatcher.done(ticket));
  f_.answer(second[1]);
  EXPECT_TRUE(f_.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST_F(RacesTest, BothSidesMayBeLost) {
  f_.add_worker(2, f_.all_units());
  begin();
  ASSERT_EQ(asked_after(kHedgeFloor).size(), 1u);
  f_.lose(1);
  EXPECT_FALSE(f_.dispatcher.has_local_work());
  EXPECT_TRUE(f_.dispatcher.take_outgoing().empty());
  f_.lose(2);
  f_.run_local_work();
  expect_done();
  EXPECT_FALSE(f_.dispatcher.next_deadline());
}

TEST_F(RacesTest, AForgottenTicketEndsItsRace) {
  f_.add_worker(2, f_.all_units());
  begin();
  std::vector<OutgoingMessage> second = asked_after(kHedgeFloor);
  f_.dispatcher.forget(ticket_);
  EXPECT_FALSE(f_.dispatcher.next_deadline());
  f_.answer(first_[0]);
  f_.answer(second[0]);
  EXPECT_EQ(f_.statistics().late_replies, 2u);
}

// Two answers that differ: the coordinator's own computation says whose is wrong.
TEST_F(RacesTest, TheLateAnswerConvictsALiar) {
  f_.add_worker(2, f_.all_units());
  begin();
  std::vector<OutgoingMessage> second = asked_after(kHedgeFloor);
  ASSERT_EQ(second.size(), 1u);
  test::Answer wrong = answer_to(f_.manifest, second[0]);
  std::vector<int64_t> sums = work_.expected();
  sums[7] ^= 1;
  replace_sums(&wrong, sums);
  f_.deliver(peer(2), wrong);
  EXPECT_TRUE(f_.dispatcher.done(ticket_)) << "nobody knows yet";
  EXPECT_EQ(f_.dispatcher.distrusts(), 0u);
  f_.dispatcher.forget(ticket_);
  f_.answer(first_[0]);
  EXPECT_TRUE(f_.dispatcher.has_local_work());
  f_.run_local_work();
  EXPECT_EQ(f_.dispatcher.distrusts(), 1u);
  std::vector<Liar> liars = f_.dispatcher.take_liars();
  ASSERT_EQ(liars.size(), 1u);
  EXPECT_EQ(liars[0].worker, peer(2));
  EXPECT_EQ(f_.statistics().wrong_answers, 1u);
  EXPECT_EQ(f_.dispatcher.trust().record(peer(1)).valid, 1u);
  EXPECT_TRUE(any_contains(f_.dispatcher.take_notices(), "worker 2 (w2, "));
}

// Anything may happen to anyone at any time; the answer is exact, and at the end nothing is owed,
// waits or runs.
TEST(Races, AnyCourseOfEventsEndsWithTheExactAnswer) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    constexpr VerifyMode kModes[] = {VerifyMode::kOff, VerifyMode::kSample, VerifyMode::kAll};
    DispatchFixture f(static_cast<uint32_t>(1 + seed % 3), 32, {kModes[seed % 3], seed});
    bool lies = seed % 3 == 2 && seed % 2 == 0;  // where every answer is compared
    auto join = [&](uint8_t number) {
      auto first = static_cast<uint16_t>(random.bits(number, 1) % 4);
      f.add_worker(number, f.units(first, static_cast<uint16_t>(first + 5)));
    };
    for (uint8_t number = 1; number <= 5; ++number) join(number);
    std::vector<OutgoingMessage> in_flight;
    auto honest = [&](const OutgoingMessage& message, uint64_t draw) {
      test::Answer answer = answer_to(f.manifest, message);
      if (lies && message.peer == peer(5) && draw % 3 == 0) {
        std::vector<int64_t> sums(answer.partial.row_flags.size() * 32, 17);
        replace_sums(&answer, sums);
      }
      f.deliver(message.peer, answer);
    };
    for (uint64_t round = 0; round < 40; ++round) {
      NumberedBatch work(f.manifest, round % 2 == 0 ? 0 : 2, static_cast<uint32_t>(1 + round % 3),
                         2, seed * 100 + round);
      uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
      uint64_t step = 0;
      for (; !f.dispatcher.done(ticket) && step < 3000; ++step) {
        uint64_t position = 1000 + round * 10'000 + step;
        for (OutgoingMessage& out : f.dispatcher.take_outgoing()) {
          in_flight.push_back(std::move(out));
        }
        auto number = static_cast<uint8_t>(1 + random.bits(position, 1) % 5);
        uint64_t which = random.bits(position);
        f.clock.advance(microseconds(random.bits(position, 3) % 3000));
        switch (random.bits(position, 2) % 24) {
          case 0:
            f.come_or_go(number, join);
            break;
          case 1:
            f.clock.advance(milliseconds(60));
            break;
          case 2:
            if (step > 200) f.clock.advance(seconds(1));
            break;
          case 3:
          case 4:
            f.run_local_work();
            break;
          case 5:
            if (!in_flight.empty()) f.answer(in_flight[which % in_flight.size()]);  // stays
            break;
          default:
            if (in_flight.empty()) break;
            auto chosen = in_flight.begin() + static_cast<ptrdiff_t>(which % in_flight.size());
            honest(*chosen, position);
            in_flight.erase(chosen);
        }
        f.dispatcher.on_tick();
        f.dispatcher.take_liars();
      }
      ASSERT_LT(step, 3000u) << "round " << round;
      ASSERT_EQ(work.sums.sums, work.expected()) << "round " << round;
      f.dispatcher.forget(ticket);
    }
    for (uint8_t number = 1; number <= 5; ++number) f.lose(number);
    f.run_local_work();
    EXPECT_FALSE(f.dispatcher.next_deadline());
    EXPECT_FALSE(f.dispatcher.has_local_work());
    EXPECT_EQ(f.statistics().wrong_answers > 0, lies);
  }
}

}  // namespace
}  // namespace potluck
