// Without a last resort, as where a model is spread: what no worker can take waits for one that
// can.
#include <gtest/gtest.h>

#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using test::DispatchFixture;
using test::NumberedBatch;

DispatchOptions without_last_resort(VerifyMode verify = VerifyMode::kOff) {
  DispatchOptions options;
  options.verify = verify;
  options.last_resort = false;
  return options;
}

// Until the next offer.
void offer_again(DispatchFixture& f) {
  ASSERT_TRUE(f.dispatcher.next_due());
  f.clock.advance(*f.dispatcher.next_due() - f.clock.now());
  f.dispatcher.on_tick();
}

TEST(StrandedCalls, WaitUntilAWorkerHasTheUnits) {
  DispatchFixture f(2, 64, without_last_resort());
  f.add_worker(1, f.units(0, 4));
  NumberedBatch work(f.manifest, 0, 20, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  f.answer_all();
  EXPECT_FALSE(f.dispatcher.done(ticket));
  EXPECT_FALSE(f.dispatcher.take_local_work()) << "there is nothing to compute from";
  EXPECT_GT(f.dispatcher.stranded_calls(), 0u);
  for (int i = 0; i < 50; ++i) {
    offer_again(f);
    EXPECT_TRUE(f.dispatcher.take_outgoing().empty());
    EXPECT_FALSE(f.dispatcher.done(ticket));
  }
  f.add_worker(2, f.units(4, 8));
  offer_again(f);
  f.answer_all();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(f.dispatcher.stranded_calls(), 0u);
  EXPECT_EQ(work.sums.sums, work.expected());
  f.dispatcher.forget(ticket);
  EXPECT_EQ(f.statistics().local_unit_calls, 0u);
}

TEST(StrandedCalls, OfALostWorkerWaitForAnother) {
  DispatchFixture f(2, 64, without_last_resort());
  f.add_worker(1, f.all_units());
  NumberedBatch work(f.manifest, 2, 5, 3);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  f.dispatcher.take_outgoing();
  f.lose(1);
  EXPECT_FALSE(f.dispatcher.done(ticket));
  f.add_worker(2, f.all_units());
  offer_again(f);
  f.answer_all();
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

TEST(StrandedCalls, AreForgottenWithTheirTicket) {
  DispatchFixture f(2, 64, without_last_resort());
  NumberedBatch work(f.manifest, 0, 2, 2);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  EXPECT_GT(f.dispatcher.stranded_calls(), 0u);
  f.dispatcher.forget(ticket);
  EXPECT_EQ(f.dispatcher.stranded_calls(), 0u);
  f.clock.advance(std::chrono::seconds(1));
  f.dispatcher.on_tick();
  EXPECT_FALSE(f.dispatcher.next_due()) << "nothing is left to be done";
}

TEST(StrandedCalls, NoAnswerIsComputedHereForComparison) {
  DispatchFixture f(2, 64, without_last_resort(VerifyMode::kSample));
  f.add_worker(1, f.all_units());
  for (uint64_t i = 0; i < 40; ++i) {
    NumberedBatch work(f.manifest, 0, 1, 1, i);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    f.answer_all();
    EXPECT_FALSE(f.dispatcher.has_local_work());
    EXPECT_TRUE(f.dispatcher.done(ticket));
    EXPECT_EQ(work.sums.sums, work.expected());
    f.dispatcher.forget(ticket);
  }
}

}  // namespace
}  // namespace potluck
