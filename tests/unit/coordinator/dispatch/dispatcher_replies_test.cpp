// What the dispatcher accepts as an answer.
#include <limits>

#include <gtest/gtest.h>

#include "coordinator/dispatch/dispatcher.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "tests/unit/coordinator/dispatch/dispatch_fixture.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Answer;
using test::answer_to;
using test::any_contains;
using test::compute_of;
using test::DispatchFixture;
using test::NumberedBatch;
using test::peer;

// One worker was asked; a second one holds nothing.
class RepliesTest : public testing::Test {
 protected:
  RepliesTest() : work_(f_.manifest, 2, 4, 2) {
    f_.add_worker(1, f_.all_units());
    f_.add_worker(2, {});
    ticket_ = f_.dispatcher.submit(work_.batch(), &work_.sums);
    outgoing_ = f_.dispatcher.take_outgoing();
    good_ = answer_to(f_.manifest, outgoing_.at(0));
  }

  void deliver(const Answer& answer, uint8_t from = 1) { f_.deliver(peer(from), answer); }

  bool untouched() const {
    return work_.sums.sums == std::vector<int64_t>(work_.sums.sums.size(), 0) &&
           work_.sums.flags == std::vector<uint8_t>(work_.sums.flags.size(), 0);
  }

  // The answer is dropped and the piece stays with worker 1, whose good answer then counts.
  void expect_ignored(const Answer& answer, uint8_t from = 1) {
    deliver(answer, from);
    EXPECT_TRUE(untouched());
    EXPECT_FALSE(f_.dispatcher.take_local_work());
    EXPECT_EQ(f_.statistics().retries, 0u);
    EXPECT_FALSE(f_.dispatcher.done(ticket_));
    deliver(good_);
    EXPECT_TRUE(f_.dispatcher.done(ticket_));
    EXPECT_EQ(work_.sums.sums, work_.expected());
  }

  // The answer is rejected and the piece computed elsewhere; nothing of it shows.
  void expect_rejected(const Answer& answer) {
    deliver(answer);
    EXPECT_TRUE(untouched());
    EXPECT_EQ(f_.statistics().bad_replies, 1u);
    EXPECT_EQ(f_.statistics().retries, 1u);
    EXPECT_EQ(f_.statistics().remote_unit_calls, 0u);
    EXPECT_FALSE(f_.dispatcher.done(ticket_));
    EXPECT_TRUE(any_contains(f_.dispatcher.take_notices(), "worker 1 (w1, "));
    deliver(good_);  // too late now
    EXPECT_TRUE(untouched());
    f_.run_local_work();
    EXPECT_TRUE(f_.dispatcher.done(ticket_));
    EXPECT_EQ(work_.sums.sums, work_.expected());
  }

  DispatchFixture f_;
  NumberedBatch work_;
  uint64_t ticket_ = 0;
  std::vector<OutgoingMessage> outgoing_;
  Answer good_;
};

TEST_F(RepliesTest, AGoodAnswerCountsOnce) {
  deliver(good_);
  EXPECT_TRUE(f_.dispatcher.done(ticket_));
  deliver(good_);
  deliver(good_);
  EXPECT_EQ(work_.sums.sums, work_.expected());
  EXPECT_EQ(f_.statistics().remote_unit_calls, work_.unit_calls(2));
  EXPECT_EQ(f_.statistics().late_replies, 2u);
}

TEST_F(RepliesTest, AnotherPeerCannotAnswer) {
  expect_ignored(good_, 2);
  EXPECT_EQ(f_.statistics().bad_replies, 1u);
  EXPECT_TRUE(any_contains(f_.dispatcher.take_notices(), "worker 2 (w2, "));
}

TEST_F(RepliesTest, AStrangerCannotAnswer) {
  expect_ignored(good_, 99);
}

TEST_F(RepliesTest, AnotherEpochIsNoAnswer) {
  Answer answer = good_;
  answer.partial.work.epoch += 1;
  fix_checksum(&answer);
  expect_ignored(answer);
}

TEST_F(RepliesTest, AnotherAttemptIsNoAnswer) {
  Answer answer = good_;
  answer.partial.work.attempt += 1;
  fix_checksum(&answer);
  expect_ignored(answer);
}

TEST_F(RepliesTest, AnotherLayerIsNoAnswer) {
  Answer answer = good_;
  answer.partial.work.layer = 0;
  fix_checksum(&answer);
  expect_ignored(answer);
}

TEST_F(RepliesTest, AnotherRequestIsNoAnswer) {
  Answer answer = good_;
  answer.partial.work.request += 1;
  fix_checksum(&answer);
  expect_ignored(answer);
  EXPECT_EQ(f_.statistics().late_replies, 1u);
}

TEST_F(RepliesTest, AWrongChecksumIsRejected) {
  Answer answer = good_;
  answer.partial.checksum ^= uint64_t{1} << 40;
  expect_rejected(answer);
}

TEST_F(RepliesTest, AnAlteredFrameIsRejected) {
  Answer answer = good_;
  answer.tensor[answer.tensor.size() / 2] ^= std::byte{4};
  expect_rejected(answer);
}

TEST_F(RepliesTest, AnAlteredFlagIsRejected) {
  Answer answer = good_;
  answer.partial.row_flags[1] = 1;
  expect_rejected(answer);
}

TEST_F(RepliesTest, AShortFrameIsRejectedDespiteItsChecksum) {
  Answer answer = good_;
  answer.tensor.pop_back();
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, ALongFrameIsRejectedDespiteItsChecksum) {
  Answer answer = good_;
  answer.tensor.push_back(std::byte{0});
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, AnEmptyFrameIsRejected) {
  Answer answer = good_;
  answer.tensor.clear();
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, TooFewRowsAreRejected) {
  Answer answer = good_;
  answer.partial.row_flags.pop_back();
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, TooManyRowsAreRejected) {
  Answer answer = good_;
  answer.partial.row_flags.push_back(0);
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, ASumThatHonestAddendsCannotReachIsRejected) {
  // Two calls of two slices, each of four chunks.
  int64_t honest = 2 * 8 * kAddendLimit;
  std::vector<int64_t> sums(4 * 64, 3);
  sums[200] = -honest - 1;
  Answer answer = good_;
  replace_sums(&answer, sums);
  expect_rejected(answer);
}

TEST_F(RepliesTest, ASumThatHonestAddendsCanReachIsTaken) {
  int64_t honest = 2 * 8 * kAddendLimit;
  std::vector<int64_t> sums(4 * 64, 3);
  sums[200] = -honest;
  sums[201] = honest;
  Answer answer = good_;
  replace_sums(&answer, sums);
  deliver(answer);
  EXPECT_TRUE(f_.dispatcher.done(ticket_));
  EXPECT_EQ(work_.sums.sums, sums);
}

TEST_F(RepliesTest, TheLargestNumbersAreRejectedToo) {
  std::vector<int64_t> sums(4 * 64, std::numeric_limits<int64_t>::min());
  Answer answer = good_;
  replace_sums(&answer, sums);
  expect_rejected(answer);
}

TEST_F(RepliesTest, FlagsReachTheirRows) {
  Answer answer = good_;
  answer.partial.row_flags = {0, 1, 0, 1};
  fix_checksum(&answer);
  deliver(answer);
  EXPECT_TRUE(f_.dispatcher.done(ticket_));
  EXPECT_EQ(work_.sums.flags, (std::vector<uint8_t>{0, 1, 0, 1}));
}

TEST_F(RepliesTest, AnUnwillingWorkerIsReplaced) {
  Answer answer = good_;
  answer.partial.status = PartialStatus::kBadRequest;
  answer.partial.text = "I do not like\x1b[2J it";
  answer.partial.row_flags.clear();
  answer.tensor.clear();
  fix_checksum(&answer);
  deliver(answer);
  std::vector<LogEvent> notices = f_.dispatcher.take_notices();
  EXPECT_TRUE(any_contains(notices, "I do not like"));
  EXPECT_FALSE(any_contains(notices, "\x1b"));
  f_.run_local_work();
  EXPECT_EQ(work_.sums.sums, work_.expected());
}

TEST_F(RepliesTest, AStaleWorkerIsReplaced) {
  Answer answer = good_;
  answer.partial.status = PartialStatus::kStale;
  answer.partial.row_flags.clear();
  answer.tensor.clear();
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, MissingUnitsAreToldAndComputedElsewhere) {
  UnitId lost{2, compute_of(outgoing_[0]).rows[0].calls[0].expert, 1};
  Answer answer;
  answer.partial.work = good_.partial.work;
  answer.partial.status = PartialStatus::kMissing;
  answer.partial.lost = {lost};
  fix_checksum(&answer);
  deliver(answer);
  auto units = f_.dispatcher.take_lost_units();
  ASSERT_EQ(units.size(), 1u);
  EXPECT_EQ(units[0].first, peer(1));
  EXPECT_EQ(units[0].second, std::vector{lost});
  EXPECT_TRUE(f_.dispatcher.take_lost_units().empty());
  EXPECT_EQ(f_.statistics().bad_replies, 0u);
  EXPECT_EQ(f_.statistics().retries, 1u);
  f_.run_local_work();
  EXPECT_TRUE(f_.dispatcher.done(ticket_));
  EXPECT_EQ(work_.sums.sums, work_.expected());
  // The worker is not to blame: it is asked again.
  f_.dispatcher.submit(work_.batch(), &work_.sums);
  EXPECT_EQ(f_.dispatcher.take_outgoing().size(), 1u);
}

TEST_F(RepliesTest, MissingWithoutSayingWhatIsABadAnswer) {
  Answer answer;
  answer.partial.work = good_.partial.work;
  answer.partial.status = PartialStatus::kMissing;
  answer.partial.lost = {{2, 4000, 0}};  // was not asked for
  fix_checksum(&answer);
  expect_rejected(answer);
}

TEST_F(RepliesTest, AWorkerThatAnswersBadlyRestsLongerEachTime) {
  auto asked = [&] {
    uint64_t ticket = f_.dispatcher.submit(work_.batch(), &work_.sums);
    std::vector<OutgoingMessage> outgoing = f_.dispatcher.take_outgoing();
    if (outgoing.empty()) {
      f_.dispatcher.forget(ticket);
      return false;
    }
    Answer answer = answer_to(f_.manifest, outgoing[0]);
    answer.partial.checksum ^= 1;
    deliver(answer);
    f_.dispatcher.forget(ticket);
    return true;
  };
  Answer bad = good_;
  bad.partial.checksum ^= 1;
  deliver(bad);
  EXPECT_FALSE(asked());
  f_.dispatcher.heard_from(peer(1));  // words are no cure
  EXPECT_FALSE(asked());
  f_.clock.advance(seconds(1));
  EXPECT_TRUE(asked());
  f_.clock.advance(milliseconds(1999));
  EXPECT_FALSE(asked());
  f_.clock.advance(milliseconds(1));
  EXPECT_TRUE(asked());
  for (int i = 0; i < 20; ++i) {
    f_.clock.advance(seconds(64));
    EXPECT_TRUE(asked());
  }
}

// Two holders, one of them bad: the other one does it.
TEST(Replies, ABadAnswerSendsThePieceToTheOtherHolder) {
  DispatchFixture f(1);
  f.add_worker(1, f.all_units());
  f.add_worker(2, f.all_units());
  NumberedBatch work(f.manifest, 0, 1, 1);
  uint64_t ticket = f.dispatcher.submit(work.batch(), &work.sums);
  std::vector<OutgoingMessage> outgoing = f.dispatcher.take_outgoing();
  ASSERT_EQ(outgoing.size(), 1u);
  Answer bad = answer_to(f.manifest, outgoing[0]);
  bad.partial.checksum ^= 1;
  f.deliver(outgoing[0].peer, bad);
  std::vector<OutgoingMessage> again = f.dispatcher.take_outgoing();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].peer, peer(2));
  EXPECT_EQ(compute_of(again[0]).work.attempt, 1u);
  f.answer(again[0]);
  EXPECT_TRUE(f.dispatcher.done(ticket));
  EXPECT_EQ(work.sums.sums, work.expected());
}

}  // namespace
}  // namespace potluck
