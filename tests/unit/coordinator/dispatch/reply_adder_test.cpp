// How a reply's sums enter the answer.
#include "coordinator/dispatch/reply_adder.h"

#include <gtest/gtest.h>

#include "protocol/packed_sums.h"

namespace potluck {
namespace {

constexpr uint32_t kHidden = 32;

class ReplyAdderTest : public testing::Test {
 protected:
  ReplyAdderTest() {
    answer_.reset(4, kHidden);
    std::fill(answer_.sums.begin(), answer_.sums.end(), 1000);
  }

  // A reply whose row r holds 10 (r + 1) everywhere.
  Status add(const RowCalls& calls, std::vector<uint8_t> flags, int64_t limit = 1'000'000) {
    Partial partial;
    partial.row_flags = std::move(flags);
    std::vector<int64_t> sums;
    for (size_t row = 0; row < partial.row_flags.size(); ++row) {
      sums.insert(sums.end(), kHidden, 10 * static_cast<int64_t>(row + 1));
    }
    tensor_.clear();
    pack_sums(sums, &tensor_);
    if (cut_) tensor_.pop_back();
    return adder_.add(calls, partial, tensor_, limit, &answer_);
  }
  void expect_rows(const std::vector<int64_t>& values) const {
    for (size_t i = 0; i < answer_.sums.size(); ++i) {
      ASSERT_EQ(answer_.sums[i], values[i / kHidden]) << i;
    }
  }

  ReplyAdder adder_;
  ByteVector tensor_;
  ExpertSums answer_;
  bool cut_ = false;
};

TEST_F(ReplyAdderTest, RowsThatStandSideBySideAreAdded) {
  ASSERT_TRUE(add({{1, 0, 0, 1}, {1, 3, 0, 1}, {2, 0, 0, 1}}, {0, 1}));
  expect_rows({1000, 1010, 1020, 1000});
  EXPECT_EQ(answer_.flags, (std::vector<uint8_t>{0, 0, 1, 0}));
}

TEST_F(ReplyAdderTest, RowsWithGapsAreAdded) {
  for (int64_t times : {1, 2}) {  // the second time with used memory
    ASSERT_TRUE(add({{0, 0, 0, 1}, {2, 0, 0, 1}, {2, 1, 0, 1}, {3, 0, 0, 1}}, {1, 0, 0}));
    expect_rows({1000 + 10 * times, 1000, 1000 + 20 * times, 1000 + 30 * times});
    EXPECT_EQ(answer_.flags, (std::vector<uint8_t>{1, 0, 0, 0}));
  }
}

TEST_F(ReplyAdderTest, AFlagStays) {
  answer_.flags[1] = 1;
  ASSERT_TRUE(add({{1, 0, 0, 1}}, {0}));
  EXPECT_EQ(answer_.flags[1], 1);
}

TEST_F(ReplyAdderTest, WhatIsRefusedTouchesNothing) {
  for (const RowCalls& calls :
       {RowCalls{{1, 0, 0, 1}, {2, 0, 0, 1}}, RowCalls{{0, 0, 0, 1}, {3, 0, 0, 1}}}) {
    EXPECT_FALSE(add(calls, {1, 1}, 19)) << "20 is beyond the limit";
    cut_ = true;
    EXPECT_FALSE(add(calls, {1, 1}));
    cut_ = false;
  }
  expect_rows({1000, 1000, 1000, 1000});
  EXPECT_EQ(answer_.flags, std::vector<uint8_t>(4, 0));
}

}  // namespace
}  // namespace potluck
