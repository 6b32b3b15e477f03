// Answers are compared with another holder's, or with the coordinator's own computation.
#include <gtest/gtest.h>

#include "coordinator/dispatch/dispatcher.h"
#include "protocol/packed_sums.h"
#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::answer_to;
using test::compute_locally;
using test::compute_of;
using test::DispatchFixture;
using test::NumberedBatch;
using test::peer;

// True but for one bit, with a checksum that fits.
test::Answer lie_to(const Manifest& manifest, const OutgoingMessage& message) {
  test::Answer answer = answer_to(manifest, message);
  const Compute& compute = compute_of(message);
  std::vector<int64_t> sums(compute.rows.size() * compute.columns, 0);
  EXPECT_TRUE(add_packed_sums(answer.tensor, int64_t{1} << 62, sums).ok());
  sums[sums.size() / 2] ^= 4;
  replace_sums(&answer, sums);
  return answer;
}

struct Asked {
  explicit Asked(DispatchFixture& fixture, uint32_t rows = 2)
      : f(fixture), work(fixture.manifest, 0, rows, 2) {
    ticket = f.dispatcher.submit(work.batch(), &work.sums);
    messages = f.dispatcher.take_outgoing();
  }
  void expect_exact() {
    EXPECT_TRUE(f.dispatcher.done(ticket));
    EXPECT_EQ(work.sums.sums, work.expected());
  }

  DispatchFixture& f;
  NumberedBatch work;
  uint64_t ticket = 0;
  std::vector<OutgoingMessage> messages;
};

void add_holders(DispatchFixture* f, uint8_t workers) {
  for (uint8_t number = 1; number <= workers; ++number) f->add_worker(number, f->all_units());
}

TEST(Checks, EveryAnswerCountsOnceTwoAreTheSame) {
  DispatchFixture f(1, 64, {VerifyMode::kAll, 7});
  add_holders(&f, 2);
  Asked asked(f);
  // Both have a part of the batch, and the other one's part to compare.
  ASSERT_EQ(asked.messages.size(), 4u);
  EXPECT_EQ(f.statistics().comparisons, 2u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FALSE(f.dispatcher.done(asked.ticket)) << i;
    f.answer(asked.messages[i]);
  }
  asked.expect_exact();
  EXPECT_EQ(f.statistics().answers_alike, 2u);
  EXPECT_EQ(f.statistics().remote_unit_calls, asked.work.unit_calls(1));
  EXPECT_EQ(f.dispatcher.trust().record(peer(1)).valid, 2u);
  EXPECT_EQ(f.dispatcher.trust().record(peer(2)).valid, 2u);
  EXPECT_FALSE(f.dispatcher.has_local_work());
}

TEST(Checks, WhereTwoDifferTheCoordinatorComputesAndNothingWrongIsUsed) {
  for (uint8_t liar : std::vector<uint8_t>{1, 2}) {
    DispatchFixture f(1, 64, {VerifyMode::kAll, 7});
    add_holders(&f, 3);
    Asked asked(f, 5);
    std::vector<OutgoingMessage> todo = asked.messages;
    while (!todo.empty()) {
      for (const OutgoingMessage& message : todo) {
        bool lies = message.peer == peer(liar);
        f.deliver(message.peer,
                  lies ? lie_to(f.manifest, message) : answer_to(f.manifest, message));
      }
      f.run_local_work();
      todo = f.dispatcher.take_outgoing();
    }
    asked.expect_exact();
    std::vector<Liar> liars = f.dispatcher.take_liars();
    ASSERT_GE(liars.size(), 1u);
    for (const Liar& one : liars) EXPECT_EQ(one.worker, peer(liar));
    EXPECT_GE(f.dispatcher.distrusts(), 1u);
    EXPECT_EQ(f.dispatcher.trust().record(peer(liar)).valid, 0u);
  }
}

TEST(Checks, WithoutAnotherHolderTheCoordinatorComputes) {
  DispatchFixture f(1, 64, {VerifyMode::kAll, 7});
  add_holders(&f, 1);
  Asked good(f);
  ASSERT_EQ(good.messages.size(), 1u);
  EXPECT_FALSE(f.dispatcher.has_local_work());
  f.answer(good.messages[0]);
  EXPECT_FALSE(f.dispatcher.done(good.ticket));
  f.run_local_work();
  good.expect_exact();
  EXPECT_EQ(f.statistics().own_checks, 1u);
  EXPECT_EQ(f.statistics().own_check_calls, good.work.unit_calls(1));
  EXPECT_EQ(f.statistics().local_unit_calls, 0u);
  Asked bad(f);
  f.deliver(peer(1), lie_to(f.manifest, bad.messages[0]));
  f.run_local_work();
  EXPECT_EQ(f.dispatcher.take_liars().size(), 1u);
  bad.expect_exact();  // computed here
  EXPECT_GT(f.statistics().local_unit_calls, 0u);
}

TEST(Checks, ASampleIsOfAFewRows) {
  DispatchFixture f(1, 64, {VerifyMode::kSample, 7});
  add_holders(&f, 1);
  Asked asked(f, 30);
  f.answer(asked.messages[0]);
  for (auto more = f.dispatcher.take_outgoing(); !more.empty();
       more = f.dispatcher.take_outgoing()) {
    for (const OutgoingMessage& message : more) f.answer(message);
  }
  f.run_local_work();
  asked.expect_exact();
  EXPECT_EQ(f.statistics().own_check_calls, 2 * f.statistics().own_checks);
}

// On probation all are compared, then fewer; no holder can tell which.
TEST(Checks, ATrustedWorkerIsComparedNowAndThen) {
  DispatchFixture f(1, 64, {VerifyMode::kSample, 7});
  add_holders(&f, 2);
  uint64_t messages = 0;
  for (int i = 0; i < 2000; ++i) {
    Asked asked(f, 1);
    for (const OutgoingMessage& message : asked.messages) f.answer(message);
    asked.expect_exact();
    f.dispatcher.forget(asked.ticket);
    if (i == 10) {
      EXPECT_GE(f.statistics().comparisons, 10u);
    }
    if (i == 999) messages = f.statistics().comparisons;
  }
  uint64_t later = f.statistics().comparisons - messages;
  EXPECT_GT(later, 5u);
  EXPECT_LT(later, 100u) << "of 2,000 messages";
  EXPECT_EQ(f.statistics().wrong_answers, 0u);
}

// Alone, its answers are computed again for a fiftieth of the time at most.
TEST(Checks, TheCoordinatorsOwnChecksTakeABoundedTime) {
  DispatchFixture f(1, 64, {VerifyMode::kSample, 7});
  add_holders(&f, 1);
  Duration checking{0};
  for (int i = 0; i < 3000; ++i) {
    Asked asked(f, 1);
    f.clock.advance(milliseconds(2));
    for (const OutgoingMessage& message : asked.messages) f.answer(message);
    while (auto work = f.dispatcher.take_local_work()) {
      f.clock.advance(milliseconds(40));
      if (i > 20) checking += milliseconds(40);
      compute_locally(f.manifest, *work);
      f.dispatcher.check_done(work->check, true);
    }
    asked.expect_exact();
    f.dispatcher.forget(asked.ticket);
  }
  EXPECT_GE(f.statistics().own_checks, 10u);
  EXPECT_GT(checking, Duration(0));
  EXPECT_LE(checking, f.clock.now() / 40);
}

// Who is to compare and does not answer holds nothing up for long.
TEST(Checks, ASilentSecondHolderIsNotWaitedFor) {
  for (VerifyMode mode : {VerifyMode::kSample, VerifyMode::kAll}) {
    DispatchFixture f(1, 64, {mode, 7});
    add_holders(&f, 2);
    NumberedBatch work(f.manifest, 0, 1, 1);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    std::vector<OutgoingMessage> asked = f.dispatcher.take_outgoing();
    ASSERT_EQ(asked.size(), 2u);
    f.answer(asked[0]);
    EXPECT_FALSE(f.dispatcher.done(ticket));
    f.lose(2);
    if (mode == VerifyMode::kAll) {
      EXPECT_FALSE(f.dispatcher.done(ticket));
      EXPECT_TRUE(f.dispatcher.has_local_work());
      f.run_local_work();
    }
    EXPECT_TRUE(f.dispatcher.done(ticket));
    EXPECT_EQ(work.sums.sums, work.expected());
  }
}

TEST(Checks, AKnownSecondHolderIsGivenItsTail) {
  DispatchFixture f(1, 64, {VerifyMode::kSample, 7});
  add_holders(&f, 2);
  f.teach(5, milliseconds(2));
  for (int i = 0; i < 300; ++i) f.teach(1, milliseconds(2));
  // Until one is drawn.
  for (int i = 0; i < 2000; ++i) {
    NumberedBatch work(f.manifest, 0, 1, 1);
    uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
    std::vector<OutgoingMessage> asked = f.dispatcher.take_outgoing();
    f.answer(asked[0]);
    if (asked.size() == 2) {
      EXPECT_FALSE(f.dispatcher.done(ticket));
      f.clock.advance(milliseconds(60));
      f.dispatcher.on_tick();
      EXPECT_TRUE(f.dispatcher.done(ticket)) << "it is not waited for any longer";
      EXPECT_EQ(work.sums.sums, work.expected());
      return;
    }
    f.dispatcher.forget(ticket);
  }
  FAIL() << "nothing was drawn";
}

TEST(Checks, AModelFileThatCannotBeReadChecksNothing) {
  for (VerifyMode mode : {VerifyMode::kSample, VerifyMode::kAll}) {
    DispatchFixture f(1, 64, {mode, 7});
    add_holders(&f, 1);
    Asked asked(f);
    f.answer(asked.messages[0]);
    std::optional<LocalWork> work = f.dispatcher.take_local_work();
    ASSERT_TRUE(work);
    std::optional<uint64_t> hopeless = f.dispatcher.check_done(work->check, false);
    if (mode == VerifyMode::kAll) {
      ASSERT_TRUE(hopeless);
      EXPECT_EQ(*hopeless, asked.ticket);
      f.dispatcher.forget(asked.ticket);
    } else {
      EXPECT_FALSE(hopeless);
      asked.expect_exact();
    }
    EXPECT_FALSE(f.dispatcher.has_local_work());
  }
}

TEST(Checks, OffComparesNothing) {
  DispatchFixture f(1, 64, {VerifyMode::kOff, 7});
  add_holders(&f, 2);
  Asked asked(f);
  EXPECT_EQ(asked.messages.size(), 2u);
  f.deliver(peer(1), lie_to(f.manifest, asked.messages[0]));
  f.answer(asked.messages[1]);
  EXPECT_TRUE(f.dispatcher.done(asked.ticket));
  EXPECT_NE(asked.work.sums.sums, asked.work.expected());
}

}  // namespace
}  // namespace potluck
