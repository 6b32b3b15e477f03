// Which caches stay, and which are found.
#include "coordinator/serving/prefix_cache.h"

#include <numeric>

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/small_cache.h"

namespace potluck {
namespace {

class PrefixCacheTest : public testing::Test {
 protected:
  // `length` tokens from `first` on, behind some that all share.
  static std::vector<TokenId> tokens(uint32_t shared, TokenId first, uint32_t length) {
    std::vector<TokenId> made(shared, 7);
    for (uint32_t i = 0; i < length; ++i) made.push_back(first + static_cast<TokenId>(i));
    return made;
  }
  void keep(std::vector<TokenId> tokens) {
    KeptPrefix prefix;
    prefix.cache = std::make_unique<KvCache>(config_, KvType::kF32, 4096);
    prefix.cache->set_length(static_cast<uint32_t>(tokens.size()));
    prefix.held = prefix.cache->length();
    prefix.tokens = std::move(tokens);
    kept_.keep(std::move(prefix));
  }
  uint32_t common(const std::vector<TokenId>& tokens) const {
    auto match = kept_.find(tokens);
    return match ? match->common : 0;
  }

  ModelConfig config_ = test::small_cache_shape();
  KvPrice price_{config_, KvType::kF32};
  PrefixCache kept_{price_};
};

TEST_F(PrefixCacheTest, FindsTheLongestCommonPrefix) {
  keep(tokens(10, 100, 20));
  keep(tokens(15, 200, 20));
  EXPECT_EQ(common(tokens(10, 100, 40)), 30u);
  EXPECT_EQ(common(tokens(15, 200, 5)), 20u);
  EXPECT_EQ(common(tokens(12, 300, 5)), 12u);
  EXPECT_EQ(common({1, 2}), 0u);
}

TEST_F(PrefixCacheTest, KeepsNothingTwice) {
  keep(tokens(10, 100, 20));
  keep(tokens(10, 100, 50));
  EXPECT_EQ(kept_.size(), 1u);
  keep(tokens(10, 100, 30));
  EXPECT_EQ(kept_.size(), 1u);
  EXPECT_EQ(common(tokens(10, 100, 60)), 60u);
  EXPECT_EQ(kept_.bytes(), price_.of(60));
}

TEST_F(PrefixCacheTest, TheOneUsedLongestAgoGoesFirst) {
  for (TokenId first : {100, 200, 300}) keep(tokens(0, first, 10));
  kept_.shrink(3 * price_.of(10) - 1);
  EXPECT_EQ(kept_.size(), 2u);
  EXPECT_EQ(common(tokens(0, 100, 10)), 0u);
  EXPECT_EQ(common(tokens(0, 200, 10)), 10u);
  kept_.shrink(0);
  EXPECT_EQ(kept_.size(), 0u);
}

// Helpers of an agent come and go; the long beginning that they share stays.
TEST_F(PrefixCacheTest, WhatIsBegunFromStays) {
  keep(tokens(600, 1000, 5));
  kept_.note_use(kept_.find(tokens(600, 0, 0))->entry);
  for (TokenId helper = 100; helper < 120; ++helper) {
    keep(tokens(0, helper * 10, 5));
    kept_.shrink(price_.of(605) + 2 * price_.of(5));
  }
  EXPECT_EQ(common(tokens(600, 1000, 5)), 605u);
  EXPECT_EQ(kept_.size(), 3u);
  // But not against everything: it has at most three quarters.
  kept_.shrink(price_.of(605) + price_.of(5) / 2);
  EXPECT_EQ(common(tokens(600, 1000, 5)), 0u);
}

TEST_F(PrefixCacheTest, WhatIsSparedIsNotDropped) {
  keep(tokens(0, 100, 10));
  keep(tokens(0, 200, 10));
  const KeptPrefix* first = kept_.find(tokens(0, 100, 10))->entry;
  kept_.shrink(0, first);
  EXPECT_EQ(kept_.size(), 1u);
  KeptPrefix taken = kept_.take(first);
  EXPECT_EQ(taken.tokens, tokens(0, 100, 10));
  EXPECT_EQ(kept_.bytes(), 0u);
}

}  // namespace
}  // namespace potluck
