// What waits for a worker, and how it is cut into messages.
#include "coordinator/dispatch/call_queues.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;

// `rows` rows of `calls_per_row` calls each; row r stands at 2 r in the batch.
WaitingCalls waiting(uint64_t ticket, uint32_t rows, uint32_t calls_per_row) {
  WaitingCalls result;
  result.ticket = ticket;
  result.rows = rows;
  for (uint32_t row = 0; row < rows; ++row) {
    for (uint32_t i = 0; i < calls_per_row; ++i) {
      result.calls.push_back({2 * row, static_cast<uint16_t>(i), 0, 1});
    }
  }
  return result;
}

ExpertBatch batch_of(uint32_t columns) {
  ExpertBatch batch;
  batch.input.form = ActivationForm::kF32;
  batch.input.columns = columns;
  return batch;
}

TEST(CallQueues, WhatFitsOneMessageIsTakenAsItIs) {
  CallQueues queues;
  CallLists lists;
  EXPECT_EQ(queues.front(peer(1)), nullptr);
  WaitingCalls all = waiting(5, 3, 2);
  RowCalls expected = all.calls;
  const RowCall* memory = all.calls.data();
  queues.add(peer(1), std::move(all));
  EXPECT_EQ(queues.front(peer(2)), nullptr);
  ASSERT_NE(queues.front(peer(1)), nullptr);
  CallQueues::Cut cut = queues.cut_front(peer(1), 3, &lists);
  EXPECT_EQ(cut.calls, expected);
  EXPECT_EQ(cut.calls.data(), memory);
  EXPECT_EQ(cut.rows, 3u);
  EXPECT_TRUE(cut.last);
  EXPECT_EQ(queues.front(peer(1)), nullptr);
}

TEST(CallQueues, MessagesTakeRowsFromTheFrontUntilNothingIsLeft) {
  CallQueues queues;
  CallLists lists;
  WaitingCalls all = waiting(5, 5, 2);
  RowCalls expected = all.calls;
  queues.add(peer(1), std::move(all));
  queues.add(peer(1), waiting(6, 1, 1));
  RowCalls together;
  for (uint32_t rows : {2u, 2u, 1u}) {
    CallQueues::Cut cut = queues.cut_front(peer(1), rows, &lists);
    EXPECT_EQ(cut.rows, rows);
    EXPECT_EQ(cut.last, rows == 1);
    together.insert(together.end(), cut.calls.begin(), cut.calls.end());
  }
  EXPECT_EQ(together, expected);
  ASSERT_NE(queues.front(peer(1)), nullptr);
  EXPECT_EQ(queues.front(peer(1))->ticket, 6u);
}

TEST(CallQueues, NoMessageHasMoreCallsThanItsLimit) {
  CallQueues queues;
  CallLists lists;
  constexpr uint32_t kPerRow = 50'000;
  queues.add(peer(1), waiting(5, 5, kPerRow));
  CallQueues::Cut first = queues.cut_front(peer(1), 5, &lists);
  EXPECT_EQ(first.rows, 2u);
  EXPECT_EQ(first.calls.size(), 2u * kPerRow);
  EXPECT_FALSE(first.last);
  EXPECT_EQ(queues.front(peer(1))->rows, 3u);
  EXPECT_EQ(queues.cut_front(peer(1), 3, &lists).rows, 2u);
  EXPECT_TRUE(queues.cut_front(peer(1), 1, &lists).last);
}

// A row is never cut, be it as long as it may.
TEST(CallQueues, ARowThatIsTooLongGoesAlone) {
  CallQueues queues;
  CallLists lists;
  queues.add(peer(1), waiting(5, 2, limits::kCallsPerMessage + 1));
  EXPECT_EQ(queues.cut_front(peer(1), 2, &lists).rows, 1u);
  EXPECT_TRUE(queues.cut_front(peer(1), 1, &lists).last);
}

TEST(CallQueues, WhatIsTakenBackIsWithoutWhatWasSent) {
  CallQueues queues;
  CallLists lists;
  WaitingCalls all = waiting(5, 4, 2);
  RowCalls rest(all.calls.begin() + 2, all.calls.end());
  queues.add(peer(1), std::move(all));
  queues.add(peer(1), waiting(6, 1, 1));
  queues.add(peer(2), waiting(7, 1, 1));
  queues.cut_front(peer(1), 1, &lists);
  std::deque<WaitingCalls> taken = queues.take_all(peer(1));
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].calls, rest);
  EXPECT_EQ(taken[0].begin, 0u);
  EXPECT_EQ(taken[1].ticket, 6u);
  EXPECT_EQ(queues.front(peer(1)), nullptr);
  EXPECT_NE(queues.front(peer(2)), nullptr);
  EXPECT_TRUE(queues.take_all(peer(3)).empty());
}

TEST(CallQueues, ADroppedTicketIsInNoQueue) {
  CallQueues queues;
  for (uint64_t ticket : {5u, 6u, 5u}) queues.add(peer(1), waiting(ticket, 1, 1));
  queues.add(peer(2), waiting(5, 1, 1));
  queues.drop_ticket(5);
  EXPECT_EQ(queues.take_all(peer(1)).size(), 1u);
  EXPECT_EQ(queues.front(peer(2)), nullptr);
}

TEST(CallQueues, OnlyEmptyQueuesOfOthersAreForgotten) {
  CallQueues queues;
  for (uint8_t number : std::vector<uint8_t>{1, 2, 3}) queues.add(peer(number), waiting(5, 1, 1));
  queues.take_all(peer(1));
  queues.take_all(peer(2));
  queues.forget_others([](const PeerKey& worker) { return worker == peer(2); });
  EXPECT_FALSE(queues.queues().contains(peer(1)));
  EXPECT_TRUE(queues.queues().contains(peer(2)));
  EXPECT_TRUE(queues.queues().contains(peer(3)));
}

TEST(RowsOfNext, MessagesAreAboutAsLongAsOneAnother) {
  ExpertBatch batch = batch_of(64);
  WaitingCalls next;
  next.batch = &batch;
  for (auto [rows, most, expected] :
       {std::array{1u, 8u, 1u}, {8u, 8u, 8u}, {9u, 8u, 5u}, {100u, 33u, 25u}, {7u, 1u, 1u}}) {
    next.rows = rows;
    EXPECT_EQ(rows_of_next(next, most), expected) << rows << " by " << most;
  }
}

TEST(RowsOfNext, ALargeRowLimitsThem) {
  ExpertBatch batch = batch_of(8192);  // sums of 64 KiB and a little
  WaitingCalls next;
  next.batch = &batch;
  next.rows = 1000;
  uint32_t rows = rows_of_next(next, 1000);
  EXPECT_LE(rows * 8192 * sizeof(int64_t), limits::kTensorBytes);
  EXPECT_GE(rows, 60u);
}

}  // namespace
}  // namespace potluck
