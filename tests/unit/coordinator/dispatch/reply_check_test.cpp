// Every reason for which a reply is refused.
#include "coordinator/dispatch/reply_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;
using ::testing::HasSubstr;

class ReplyCheck : public testing::Test {
 protected:
  ReplyCheck() {
    debt_.work = {23, 7, 2, 1};
    debt_.worker = peer(1);
    debt_.rows = 2;
    debt_.calls = {{0, 5, 0, 1}, {0, 5, 1, 1}, {3, 4, 1, 1}};
    reply_.work = debt_.work;
    reply_.row_flags = {0, 1};
    tensor_.assign(40, std::byte{3});
    reply_.checksum = checksum_of(reply_.work, reply_.row_flags, tensor_);
  }

  void expect_refused(ErrorCode code, const std::string& reason) const {
    Status status = check_reply(debt_, reply_, tensor_);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, code);
    EXPECT_THAT(status.error().message, HasSubstr(reason));
  }

  Debt debt_;
  Partial reply_;
  ByteVector tensor_;
};

TEST_F(ReplyCheck, AGoodReplyPasses) {
  EXPECT_TRUE(check_reply(debt_, reply_, tensor_));
}

TEST_F(ReplyCheck, OnlyTheWorkerThatWasAskedOwesExactlyThisWork) {
  EXPECT_TRUE(is_owed(debt_, peer(1), debt_.work));
  EXPECT_FALSE(is_owed(debt_, peer(2), debt_.work));
  for (int part = 0; part < 4; ++part) {
    WorkId other = debt_.work;
    if (part == 0) ++other.epoch;
    if (part == 1) ++other.request;
    if (part == 2) ++other.layer;
    if (part == 3) ++other.attempt;
    EXPECT_FALSE(is_owed(debt_, peer(1), other)) << part;
  }
}

TEST_F(ReplyCheck, ARefusalIsNoAnswerAndItsTextIsCleaned) {
  reply_.status = PartialStatus::kBadRequest;
  reply_.text = "no\x1b[2J thanks";
  expect_refused(ErrorCode::kRefused, "status 2: no");
  EXPECT_EQ(check_reply(debt_, reply_, tensor_).error().message.find('\x1b'), std::string::npos);
}

TEST_F(ReplyCheck, TheNumberOfRowsMustBeThatOfTheCalls) {
  reply_.row_flags.push_back(0);
  reply_.checksum = checksum_of(reply_.work, reply_.row_flags, tensor_);
  expect_refused(ErrorCode::kCorrupt, "expected 2 rows, found 3");
  reply_.row_flags.clear();
  expect_refused(ErrorCode::kCorrupt, "expected 2 rows, found 0");
}

TEST_F(ReplyCheck, TheChecksumCoversFlagsAndValues) {
  reply_.row_flags[0] = 1;
  expect_refused(ErrorCode::kCorrupt, "checksum");
  reply_.row_flags[0] = 0;
  tensor_[39] ^= std::byte{1};
  expect_refused(ErrorCode::kCorrupt, "checksum");
  tensor_[39] ^= std::byte{1};
  EXPECT_TRUE(check_reply(debt_, reply_, tensor_));
  reply_.checksum ^= 1;
  expect_refused(ErrorCode::kCorrupt, "checksum");
}

TEST_F(ReplyCheck, AMissingUnitMustBeOneThatWasAskedFor) {
  auto missing = [&](UnitId unit, PartialStatus status = PartialStatus::kMissing) {
    reply_.status = status;
    reply_.lost = {{2, 100, 0}, unit};
    return reports_missing_unit(debt_, reply_);
  };
  EXPECT_TRUE(missing({2, 5, 1}));
  EXPECT_TRUE(missing({2, 4, 1}));
  EXPECT_FALSE(missing({2, 4, 0}));
  EXPECT_FALSE(missing({0, 5, 1}));
  EXPECT_FALSE(missing({2, 5, 1}, PartialStatus::kOk));
  EXPECT_FALSE(missing({2, 5, 1}, PartialStatus::kStale));
}

TEST_F(ReplyCheck, TheLargestHonestSumIsThatOfTheRowWithTheMostChunks) {
  ChunkPlan plan = plan_chunks(test::sample_manifest(1, 1).layers()[0].shape);
  ASSERT_EQ(plan.chunks, 8u);
  // The first row has both halves of an expert, the second one a half.
  EXPECT_EQ(largest_honest_sum(debt_.calls, plan, 2), 8 * kAddendLimit);
  EXPECT_EQ(largest_honest_sum(std::span(debt_.calls).last(1), plan, 2), 4 * kAddendLimit);
}

TEST_F(ReplyCheck, TheLargestHonestSumDoesNotOverflow) {
  ChunkPlan plan = plan_chunks(test::sample_manifest(1, 1).layers()[0].shape);
  RowCalls many(1u << 18, RowCall{0, 1, 0, 1});
  int64_t sum = largest_honest_sum(many, plan, 1);
  EXPECT_GT(sum, int64_t{1} << 61);
  EXPECT_LT(sum, int64_t{1} << 62);
}

}  // namespace
}  // namespace potluck
