// Where the cache of a request comes from.
#include "coordinator/serving/cache_supply.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/small_cache.h"

namespace potluck {
namespace {

std::vector<TokenId> prompt_tokens(uint32_t shared, TokenId other, uint32_t length) {
  std::vector<TokenId> made(shared, 7);
  made.resize(shared + length, other);
  return made;
}

class CacheSupplyTest : public testing::Test {
 protected:
  static constexpr uint32_t kContext = 4096;
  explicit CacheSupplyTest(const ModelConfig& config = test::small_cache_shape())
      : config_(config) {}

  std::unique_ptr<KvCache> start(const std::vector<TokenId>& tokens,
                                 std::span<const RunningPrefix> running = {}) {
    std::vector<KvBlock> blocks;
    auto started = supply_.start(tokens, running, &blocks);
    CHECK(started.ok());
    fork_ = started->fork;
    return std::move(started->cache);
  }
  void compute(KvCache& cache, uint32_t length) {
    ASSERT_TRUE(supply_.extend(cache, length).ok());
    test::fill(cache, config_, length);
  }
  // A request that computes all its tokens and ends.
  void answer(const std::vector<TokenId>& tokens) {
    std::unique_ptr<KvCache> cache = start(tokens);
    compute(*cache, static_cast<uint32_t>(tokens.size()));
    ASSERT_TRUE(supply_.keep(tokens, *cache, CheckpointKind::kTurn).ok());
  }

  ModelConfig config_;
  KvPrice price_{config_, KvType::kF32};
  CacheSupply supply_{config_, KvType::kF32, kContext, price_.of(2 * kContext), nullptr};
  uint32_t fork_ = 0;
};

TEST_F(CacheSupplyTest, AConversationGoesOn) {
  answer(prompt_tokens(600, 1, 300));
  std::vector<TokenId> next = prompt_tokens(600, 1, 300);
  next.insert(next.end(), 50, 2);
  EXPECT_EQ(start(next)->length(), 900u);
}

// Asked again, it computes one token.
TEST_F(CacheSupplyTest, TheLastTokenIsAlwaysComputed) {
  answer(prompt_tokens(600, 1, 3));
  EXPECT_EQ(start(prompt_tokens(600, 1, 0))->length(), 599u);
}

TEST_F(CacheSupplyTest, AForkSharesAndLeavesTheOtherOne) {
  answer(prompt_tokens(600, 1, 1000));
  uint64_t kept = supply_.kept().bytes();
  std::unique_ptr<KvCache> fork = start(prompt_tokens(600, 2, 100));
  EXPECT_EQ(fork->length(), 600u);
  EXPECT_EQ(supply_.held_bytes(), price_.of_blocks(3));
  EXPECT_EQ(supply_.kept().bytes() + price_.of_blocks(2), kept) << "the last block was copied";
  EXPECT_EQ(supply_.shared_bytes(prompt_tokens(600, 3, 100), {}), price_.of_blocks(2));
  EXPECT_EQ(start(prompt_tokens(600, 1, 1001))->length(), 1600u);
}

// There are three blocks: two are kept, of which the second one is to be copied, and another
// request has the third.
TEST_F(CacheSupplyTest, WithoutMemoryForACopyItBeginsWhereTheBlockDoes) {
  CacheSupply small(config_, KvType::kF32, 512, price_.of(512), nullptr);
  std::vector<KvBlock> blocks;
  const std::vector<TokenId> first = prompt_tokens(400, 1, 100);
  {
    auto started = small.start(first, {}, &blocks);
    ASSERT_TRUE(started.ok() && small.extend(*started->cache, 500).ok());
    test::fill(*started->cache, config_, 500);
    ASSERT_TRUE(small.keep(first, *started->cache, CheckpointKind::kTurn).ok());
  }
  std::vector<KvBlock> none;
  auto other = small.start(prompt_tokens(0, 9, 10), {}, &none);
  ASSERT_TRUE(other.ok());
  auto started = small.start(prompt_tokens(400, 2, 50), {}, &blocks);
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_EQ(started->cache->length(), 256u);
  EXPECT_TRUE(small.extend(*started->cache, 450).ok());
}

TEST_F(CacheSupplyTest, WhatIsBeingComputedIsShared) {
  std::vector<TokenId> other = prompt_tokens(600, 1, 200);
  std::unique_ptr<KvCache> cache = start(other);
  compute(*cache, 500);
  RunningPrefix running{other, 800, cache.get()};
  std::vector<TokenId> wanted = prompt_tokens(600, 2, 10);
  EXPECT_TRUE(supply_.should_wait(wanted, {&running, 1})) << "a hundred more will be there soon";
  EXPECT_EQ(supply_.shared_bytes(wanted, {&running, 1}), price_.of_blocks(1));
  EXPECT_EQ(start(wanted, {&running, 1})->length(), 500u);
  compute(*cache, 700);
  EXPECT_FALSE(supply_.should_wait(wanted, {&running, 1}));
  std::unique_ptr<KvCache> second = start(wanted, {&running, 1});
  EXPECT_EQ(second->length(), 600u);
  EXPECT_EQ(supply_.held_bytes(), price_.of_blocks(3 + 1));
  EXPECT_FALSE(supply_.should_wait(prompt_tokens(20, 2, 10), {&running, 1}));
}

// What a running request has in common with it says nothing about a kept one.
TEST_F(CacheSupplyTest, AKeptCacheGivesWhatItSharesItself) {
  answer(prompt_tokens(500, 1, 10));
  std::vector<TokenId> other = prompt_tokens(600, 2, 10);
  std::unique_ptr<KvCache> cache = start(other);
  cache->set_length(100);
  RunningPrefix running{other, 610, cache.get()};
  EXPECT_EQ(start(prompt_tokens(600, 3, 10), {&running, 1})->length(), 500u);
}

TEST_F(CacheSupplyTest, MemoryOfWhatIsKeptIsForThoseThatNeedIt) {
  for (TokenId other : {1, 2, 3}) answer(prompt_tokens(0, other, 2500));
  EXPECT_EQ(supply_.kept().blocks(), 30u);
  std::unique_ptr<KvCache> first = start(prompt_tokens(0, 4, 4000));
  compute(*first, 4000);
  std::unique_ptr<KvCache> second = start(prompt_tokens(0, 5, 4096));
  compute(*second, 4096);
  EXPECT_LE(supply_.kept().blocks(), 1u);
  std::unique_ptr<KvCache> third = start(prompt_tokens(0, 6, 4096));
  EXPECT_FALSE(supply_.extend(*third, 4096).ok());
  std::vector<KvBlock> blocks;
  EXPECT_FALSE(supply_.start(prompt_tokens(0, 7, 10), {}, &blocks).ok());
}

TEST_F(CacheSupplyTest, WithoutRecurrentLayersNothingStops) {
  EXPECT_EQ(supply_.next_stop(0, 300, 4000), 4000u);
  EXPECT_FALSE(supply_.is_regular_stop(1024));
}

class RecurrentSupplyTest : public CacheSupplyTest {
 protected:
  RecurrentSupplyTest() : CacheSupplyTest(test::small_recurrent_shape()) {}
};

// Where requests part, at regular distances, and before the marks that begin an answer.
TEST_F(RecurrentSupplyTest, StopsWhereOthersMayBegin) {
  EXPECT_EQ(supply_.next_stop(0, 300, 4000), 300u);
  EXPECT_EQ(supply_.next_stop(300, 300, 4000), 1024u);
  EXPECT_EQ(supply_.next_stop(1024, 0, 4000), 2048u);
  EXPECT_EQ(supply_.next_stop(3072, 0, 4000), 3992u);
  EXPECT_EQ(supply_.next_stop(3992, 0, 4000), 4000u);
  EXPECT_EQ(supply_.next_stop(3990, 0, 4000), 4000u);
  EXPECT_TRUE(supply_.is_regular_stop(1024));
  EXPECT_FALSE(supply_.is_regular_stop(1025));
}

TEST_F(RecurrentSupplyTest, TheSecondThatPartsMakesTheCheckpoint) {
  answer(prompt_tokens(600, 1, 300));
  std::vector<TokenId> second = prompt_tokens(600, 2, 300);
  std::unique_ptr<KvCache> cache = start(second);
  EXPECT_EQ(cache->length(), 0u);
  EXPECT_EQ(fork_, 600u);
  compute(*cache, 600);
  ASSERT_TRUE(supply_.keep(second, *cache, CheckpointKind::kLasting).ok());
  EXPECT_EQ(start(prompt_tokens(600, 3, 10))->length(), 600u);
  EXPECT_EQ(fork_, 0u);
}

}  // namespace
}  // namespace potluck
