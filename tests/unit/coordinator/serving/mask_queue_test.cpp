// Whose mask is worked on, and how much there is for all of them in a turn.
#include "coordinator/serving/mask_queue.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr uint64_t kMostInATurn = 96 * 1024;
constexpr uint64_t kLarge = 1 << 20;

struct Turn {
  std::map<CompletionId, uint64_t> work;
  std::vector<CompletionId> order;
  uint64_t sum = 0;
};

// Everyone uses up what they get.
Turn take_turn(MaskQueue& queue) {
  Turn turn;
  queue.begin_turn();
  while (auto piece = queue.next()) {
    queue.spend(*piece, piece->budget);
    turn.work[piece->id] += piece->budget;
    turn.order.push_back(piece->id);
    turn.sum += piece->budget;
  }
  return turn;
}

TEST(MaskQueue, ATurnIsBounded) {
  MaskQueue queue;
  EXPECT_EQ(take_turn(queue).sum, 0u);
  for (CompletionId id = 1; id <= 16; ++id) queue.add(id, id * 100'000);
  for (int i = 0; i < 100; ++i) EXPECT_LE(take_turn(queue).sum, kMostInATurn);
}

TEST(MaskQueue, ThoseThatTookLeastComeFirst) {
  MaskQueue queue;
  queue.add(1, kLarge);
  queue.add(2, 50'000);
  queue.add(3, 10);
  Turn turn = take_turn(queue);
  EXPECT_EQ(turn.order.front(), 1u) << "a large one has a share of its own";
  EXPECT_LT(turn.work[1], kMostInATurn / 2);
  EXPECT_GT(turn.work[3], turn.work[2]);
  queue.remove(2);
  queue.remove(3);
  EXPECT_EQ(take_turn(queue).work[1], kMostInATurn) << "and all, where there is no other";
}

TEST(MaskQueue, OneLargeOneAtATime) {
  MaskQueue queue;
  queue.add(4, kLarge);
  queue.add(9, kLarge);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(take_turn(queue).work.size(), 1u);
  queue.remove(4);
  EXPECT_EQ(take_turn(queue).order.front(), 9u);
}

TEST(MaskQueue, WhatIsDoneAtOnceCounts) {
  MaskQueue queue;
  queue.begin_turn();
  EXPECT_GT(queue.at_once(), 0u);
  queue.spend(kMostInATurn);
  EXPECT_EQ(queue.at_once(), 0u);
  queue.add(1, 5);
  EXPECT_FALSE(queue.next()) << "in the next turn";
  queue.begin_turn();
  EXPECT_TRUE(queue.next());
}

}  // namespace
}  // namespace potluck
