#include "coordinator/models/block_book.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr uint64_t kBlock = BlockBook::kBlockBytes;

TEST(BlockBooks, GiveOutEveryBlockOnce) {
  BlockBook book(5 * kBlock / 2, {});
  ASSERT_EQ(book.blocks(), 3u);
  auto first = book.take(2);
  auto second = book.take(2);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(book.take(1));
  EXPECT_EQ(book.bytes(*first), 2 * kBlock);
  EXPECT_EQ(book.offset(*second), 2 * kBlock);
  EXPECT_EQ(book.bytes(*second), kBlock / 2);
  book.finish(*second);
  EXPECT_FALSE(book.complete());
  book.give_back(*first);
  first = book.take(16);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->count, 2u);
  book.finish(*first);
  EXPECT_TRUE(book.complete());
  EXPECT_EQ(book.done_bytes(), 5 * kBlock / 2);
  book.finish(*first);
  EXPECT_EQ(book.done_bytes(), 5 * kBlock / 2) << "not counted twice";
}

TEST(BlockBooks, GoOnFromWhatWasWrittenDown) {
  ByteVector done{std::byte{1}, std::byte{0}, std::byte{1}, std::byte{7}};
  BlockBook book(4 * kBlock, done);
  EXPECT_EQ(book.done_bytes(), 2 * kBlock);
  auto run = book.take(16);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->first, 1u);
  EXPECT_EQ(run->count, 1u);
  run = book.take(16);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->first, 3u);
  EXPECT_FALSE(book.take(16));
}

TEST(BlockBooks, TakeNothingOfAnotherLength) {
  const ByteVector done(3, std::byte{1});
  EXPECT_EQ(BlockBook(4 * kBlock, done).done_bytes(), 0u);
  EXPECT_EQ(BlockBook(2 * kBlock, done).done_bytes(), 0u);
  EXPECT_TRUE(BlockBook(0, {}).complete());
}

}  // namespace
}  // namespace potluck
