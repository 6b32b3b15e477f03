// Where the cache of a request comes from.
#include "coordinator/serving/cache_supply.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/small_cache.h"

namespace potluck {
namespace {

std::vector<TokenId> tokens(uint32_t shared, TokenId other, uint32_t length) {
  std::vector<TokenId> made(shared, 7);
  made.resize(shared + length, other);
  return made;
}

class CacheSupplyTest : public testing::Test {
 protected:
  static constexpr uint64_t kPlenty = 1 << 30;

  void keep(const std::vector<TokenId>& tokens, uint32_t prompt_tokens) {
    auto length = static_cast<uint32_t>(tokens.size());
    supply_.keep({tokens, prompt_tokens, length, 0, filled(length)}, kPlenty);
  }
  std::unique_ptr<KvCache> filled(uint32_t length) const {
    auto cache = std::make_unique<KvCache>(config_, KvType::kF32, 4096);
    cache->set_length(length);
    return cache;
  }
  StartingCache start(const std::vector<TokenId>& tokens, uint64_t free_bytes = kPlenty,
                      std::span<const RunningPrefix> running = {}) {
    auto length = static_cast<uint32_t>(tokens.size());
    auto started = supply_.start(tokens, running, free_bytes, price_.of(length));
    CHECK(started.ok());
    return std::move(*started);
  }

  ModelConfig config_ = test::small_cache_shape();
  KvPrice price_{config_, KvType::kF32};
  CacheSupply supply_{config_, KvType::kF32, 4096};
};

TEST_F(CacheSupplyTest, AConversationGoesOnInItsOwnCache) {
  keep(tokens(600, 1, 300), 600);
  std::vector<TokenId> next = tokens(600, 1, 300);
  next.insert(next.end(), 50, 2);
  StartingCache started = start(next);
  EXPECT_EQ(started.cache->length(), 900u);
  EXPECT_EQ(started.held, 900u);
  EXPECT_EQ(supply_.kept().size(), 0u);
}

// Asked again, it computes one token.
TEST_F(CacheSupplyTest, TheLastTokenIsAlwaysComputed) {
  keep(tokens(600, 1, 3), 600);
  EXPECT_EQ(start(tokens(600, 1, 0)).cache->length(), 599u);
}

TEST_F(CacheSupplyTest, AForkCopiesAndLeavesTheOtherOne) {
  keep(tokens(600, 1, 1000), 1590);
  StartingCache started = start(tokens(600, 2, 100));
  EXPECT_EQ(started.cache->length(), 600u);
  EXPECT_EQ(supply_.kept().size(), 1u);
  EXPECT_EQ(supply_.kept().find(tokens(600, 1, 1000))->common, 1600u);
}

// Where both do not fit, one cache serves both in turn.
TEST_F(CacheSupplyTest, WithoutRoomForACopyAForkTakesOver) {
  keep(tokens(600, 1, 1000), 1590);
  StartingCache started = start(tokens(600, 2, 100), price_.of(1600) + price_.of(700) - 1);
  EXPECT_EQ(started.cache->length(), 600u);
  EXPECT_EQ(started.held, 1600u);
  EXPECT_EQ(supply_.kept().size(), 0u);
}

// A template that leaves out old reasoning: the client's form of the answer is another one.
TEST_F(CacheSupplyTest, AnAnswerInAnotherFormCostsNobodyElseACache) {
  keep(tokens(0, 9, 1000), 1000);
  keep(tokens(600, 1, 1000), 605);
  uint64_t full = supply_.kept().bytes() + price_.of(700) - 1;
  EXPECT_EQ(start(tokens(600, 2, 100), full).cache->length(), 600u);
  EXPECT_EQ(supply_.kept().size(), 1u);
  EXPECT_EQ(supply_.kept().find(tokens(0, 9, 1000))->common, 1000u);
}

TEST_F(CacheSupplyTest, WhatIsBeingComputedCanBeCopied) {
  std::vector<TokenId> other = tokens(600, 1, 200);
  std::unique_ptr<KvCache> cache = filled(500);
  RunningPrefix running{other, 800, cache.get()};
  std::vector<TokenId> wanted = tokens(600, 2, 10);
  EXPECT_TRUE(supply_.should_wait(wanted, {&running, 1})) << "a hundred more will be there soon";
  EXPECT_EQ(start(wanted, kPlenty, {&running, 1}).cache->length(), 500u);
  cache->set_length(700);
  EXPECT_FALSE(supply_.should_wait(wanted, {&running, 1}));
  EXPECT_EQ(start(wanted, kPlenty, {&running, 1}).cache->length(), 600u);
  EXPECT_FALSE(supply_.should_wait(tokens(20, 2, 10), {&running, 1}));
}

// What a running request has in common with it says nothing about a kept one.
TEST_F(CacheSupplyTest, AKeptCacheGivesWhatItSharesItself) {
  keep(tokens(500, 1, 10), 510);
  std::vector<TokenId> other = tokens(600, 2, 10);
  std::unique_ptr<KvCache> cache = filled(100);
  RunningPrefix running{other, 610, cache.get()};
  EXPECT_EQ(start(tokens(600, 3, 10), kPlenty, {&running, 1}).cache->length(), 500u);
}

TEST_F(CacheSupplyTest, MakesRoomForWhatStarts) {
  for (TokenId other : {1, 2, 3}) keep(tokens(0, other, 500), 500);
  uint64_t bytes = price_.of(500);
  EXPECT_EQ(start(tokens(0, 4, 500), 3 * bytes).cache->length(), 0u);
  EXPECT_EQ(supply_.kept().size(), 2u);
}

}  // namespace
}  // namespace potluck
