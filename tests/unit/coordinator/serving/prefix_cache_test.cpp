// Which blocks and checkpoints stay, and which are found.
#include "coordinator/serving/prefix_cache.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/coordinator/serving/small_cache.h"

namespace potluck {
namespace {

using Tokens = std::vector<TokenId>;

// `length` tokens from `first` on, behind some that all share.
Tokens tokens(uint32_t shared, TokenId first, uint32_t length) {
  Tokens made(shared, 7);
  for (uint32_t i = 0; i < length; ++i) made.push_back(first + static_cast<TokenId>(i));
  return made;
}

class PrefixCacheTest : public testing::Test {
 protected:
  explicit PrefixCacheTest(const ModelConfig& config = test::small_cache_shape(),
                           uint32_t blocks = 40)
      : config_(config),
        memory_(std::make_shared<KvMemory>(config_, KvType::kF32, blocks)),
        kept_(config_, memory_, nullptr) {}

  std::unique_ptr<KvCache> new_cache() { return std::make_unique<KvCache>(config_, memory_, 8192); }
  void begin(std::span<const TokenId> tokens, KvCache* cache) {
    std::vector<KvBlock> blocks;
    ASSERT_TRUE(kept_.begin(tokens, &blocks, cache)) << "there is no disk";
  }
  // A session that begins with what is kept, computes the rest, and leaves all.
  uint32_t answer(const Tokens& tokens) {
    std::unique_ptr<KvCache> cache = new_cache();
    begin(tokens, cache.get());
    uint32_t begun = cache->length();
    EXPECT_TRUE(kept_.make_room(kv_blocks(static_cast<uint32_t>(tokens.size())) + 1 -
                                kv_blocks(cache->length())));
    if (begun < tokens.size()) {
      test::fill(*cache, config_, static_cast<uint32_t>(tokens.size()));
    }
    kept_.keep(tokens, *cache, cache->checkpoint(), CheckpointKind::kTurn);
    return begun;
  }
  uint32_t common(const Tokens& tokens) const { return kept_.find(tokens).common; }
  uint64_t bytes(uint32_t blocks) const { return blocks * memory_->block_bytes(); }

  ModelConfig config_;
  std::shared_ptr<KvMemory> memory_;
  PrefixCache kept_;
};

TEST_F(PrefixCacheTest, FindsTheLongestCommonPrefix) {
  answer(tokens(10, 100, 20));
  answer(tokens(15, 200, 20));
  EXPECT_EQ(common(tokens(10, 100, 40)), 30u);
  EXPECT_EQ(common(tokens(15, 200, 5)), 20u);
  EXPECT_EQ(common(tokens(12, 300, 5)), 12u);
  EXPECT_EQ(common({1, 2}), 0u);
  EXPECT_EQ(kept_.find(tokens(12, 300, 5)).length, 12u);
}

// One path goes through what three requests have computed, and ends in the middle of a block.
TEST_F(PrefixCacheTest, APathMayBeOfManyRequests) {
  EXPECT_EQ(answer(tokens(600, 1000, 0)), 0u);
  EXPECT_EQ(answer(tokens(600, 1000, 300)), 600u);
  EXPECT_EQ(answer(tokens(600, 1000, 900)), 900u);
  EXPECT_EQ(kept_.blocks(), 6u);
  EXPECT_EQ(memory_->taken(), 6u);
  EXPECT_EQ(answer(tokens(600, 1000, 700)), 1300u) << "all of it is there";
  EXPECT_EQ(kept_.blocks(), 6u) << "nothing is kept twice";
  EXPECT_EQ(answer(tokens(700, 5000, 100)), 600u) << "parts from all in the middle of a block";
  EXPECT_EQ(kept_.blocks(), 8u);
  EXPECT_EQ(kept_.bytes(), bytes(8));
}

TEST_F(PrefixCacheTest, TheOneUsedLongestAgoGoesFirst) {
  for (TokenId first : {100, 200, 300}) answer(tokens(0, first, 10));
  kept_.shrink(bytes(3) - 1);
  EXPECT_EQ(kept_.blocks(), 2u);
  EXPECT_EQ(common(tokens(0, 100, 10)), 0u);
  EXPECT_EQ(common(tokens(0, 200, 10)), 10u);
  kept_.shrink(0);
  EXPECT_EQ(kept_.blocks(), 0u);
  EXPECT_EQ(memory_->taken(), 0u);
}

// Titles and helpers come and go; the long conversation that goes on meanwhile stays.
TEST_F(PrefixCacheTest, WhatIsGoneOnFromStays) {
  Tokens conversation = tokens(1000, 1000, 0);
  answer(conversation);
  for (TokenId turn = 1; turn < 40; ++turn) {
    SCOPED_TRACE(turn);
    answer(tokens(0, 100000 + turn * 1000, 700));
    Tokens more = tokens(0, turn * 2000, 100);
    uint32_t before = static_cast<uint32_t>(conversation.size());
    conversation.insert(conversation.end(), more.begin(), more.end());
    EXPECT_EQ(answer(conversation), before);
    kept_.shrink(bytes(25));
  }
}

TEST_F(PrefixCacheTest, WhatASessionHoldsStays) {
  answer(tokens(600, 100, 10));
  std::unique_ptr<KvCache> cache = new_cache();
  begin(tokens(600, 200, 10), cache.get());
  EXPECT_EQ(cache->length(), 600u);
  EXPECT_EQ(kept_.find(tokens(600, 200, 10)).held, 512u);
  answer(tokens(0, 3000, 10));
  kept_.shrink(0);
  EXPECT_EQ(kept_.blocks(), 3u);
  EXPECT_EQ(kept_.bytes(), 0u);
  EXPECT_FALSE(kept_.make_room(38));
  EXPECT_TRUE(kept_.make_room(37));
  cache.reset();
  EXPECT_EQ(kept_.bytes(), bytes(3));
  EXPECT_TRUE(kept_.make_room(38));
  EXPECT_EQ(common(tokens(600, 100, 10)), 512u) << "from the end of the path";
}

// A running session that is kept goes on in its own block.
TEST_F(PrefixCacheTest, ASessionGoesOnWithWhatIsKeptOfIt) {
  std::unique_ptr<KvCache> cache = new_cache();
  Tokens all = tokens(100, 50, 300);
  test::fill(*cache, config_, 120);
  kept_.keep(all, *cache, nullptr, CheckpointKind::kTurn);
  test::fill(*cache, config_, 400);
  EXPECT_EQ(memory_->taken(), 2u);
  EXPECT_EQ(answer(tokens(100, 50, 18)), 118u);
  kept_.keep(all, *cache, nullptr, CheckpointKind::kTurn);
  EXPECT_EQ(kept_.blocks(), 2u);
  EXPECT_EQ(common(all), 400u);
}

class RecurrentPrefixCacheTest : public PrefixCacheTest {
 protected:
  RecurrentPrefixCacheTest() : PrefixCacheTest(test::small_recurrent_shape()) {}

  void checkpoint(const Tokens& tokens, uint32_t end, CheckpointKind kind) {
    std::unique_ptr<KvCache> cache = new_cache();
    begin(std::span(tokens).first(end), cache.get());
    if (cache->length() < end) test::fill(*cache, config_, end);
    kept_.keep(tokens, *cache, cache->checkpoint(), kind);
  }
};

TEST_F(RecurrentPrefixCacheTest, BeginsAtACheckpoint) {
  EXPECT_EQ(answer(tokens(300, 1000, 100)), 0u);
  EXPECT_EQ(common(tokens(300, 2000, 100)), 300u);
  EXPECT_EQ(kept_.find(tokens(300, 2000, 100)).length, 0u);
  checkpoint(tokens(300, 2000, 100), 300, CheckpointKind::kLasting);
  EXPECT_EQ(answer(tokens(300, 3000, 100)), 300u);
  EXPECT_EQ(answer(tokens(300, 1000, 500)), 400u);
  std::unique_ptr<KvCache> cache = new_cache();
  begin(tokens(300, 4000, 10), cache.get());
  ASSERT_EQ(cache->length(), 300u);
  EXPECT_EQ(cache->advance(0, 301).before[0], 300.0F);
}

TEST_F(RecurrentPrefixCacheTest, EndsOfTurnsMakeWayForLaterOnes) {
  Tokens conversation;
  for (TokenId turn = 0; turn < 20; ++turn) {
    Tokens more = tokens(0, turn * 1000, 90);
    conversation.insert(conversation.end(), more.begin(), more.end());
    answer(conversation);
    if (turn == 3) {
      checkpoint(conversation, static_cast<uint32_t>(conversation.size()),
                 CheckpointKind::kLasting);
    }
  }
  EXPECT_EQ(kept_.checkpoints(), 5u);
  auto begins = [&](uint32_t length) {
    return kept_.find(std::span(conversation).first(length)).length;
  };
  EXPECT_EQ(begins(20 * 90), 20u * 90);
  EXPECT_EQ(begins(18 * 90 + 3), 18u * 90);
  EXPECT_EQ(begins(16 * 90), 4u * 90);
}

TEST_F(RecurrentPrefixCacheTest, CheckpointsCountAndAreDropped) {
  answer(tokens(300, 1000, 10));
  uint64_t all = kept_.bytes();
  EXPECT_GT(all, bytes(2));
  kept_.shrink(all - 1);
  EXPECT_EQ(kept_.checkpoints(), 0u);
  EXPECT_EQ(kept_.blocks(), 2u);
  // Without any, the blocks are worth nothing, and go before others.
  answer(tokens(0, 5000, 10));
  kept_.shrink(kept_.bytes() - 1);
  EXPECT_EQ(kept_.blocks(), 2u);
  EXPECT_EQ(kept_.find(tokens(0, 5000, 10)).length, 10u);
}

// Against a plain list of what was asked: what is found is right, and counts are kept.
TEST_F(PrefixCacheTest, RandomRequests) {
  CounterRandom random(1);
  uint64_t draws = 0;
  auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random.bits(++draws) % below); };
  std::vector<Tokens> asked;
  for (int i = 0; i < 400; ++i) {
    Tokens next;
    if (!asked.empty()) {
      next = asked[draw(asked.size())];
      next.resize(draw(static_cast<uint32_t>(next.size()) + 1));
    }
    uint32_t more = 1 + draw(500);
    for (uint32_t k = 0; k < more && next.size() < 2000; ++k) {
      next.push_back(static_cast<TokenId>(draw(2)));
    }
    uint32_t most = 0;
    for (const Tokens& other : asked) most = std::max(most, common_prefix(other, next));
    uint32_t begun = answer(next);
    EXPECT_LE(begun, most);
    asked.push_back(next);
    EXPECT_EQ(kept_.find(next).length, next.size());
    EXPECT_EQ(kept_.blocks(), memory_->taken());
    EXPECT_EQ(memory_->held(), 0u);
    if (draw(5) == 0) kept_.shrink(bytes(draw(40)));
  }
}

// Conversations of whole blocks, each a letter: what goes is what a walk through all of them finds.
class LetteredPrefixCacheTest : public PrefixCacheTest {
 protected:
  static Tokens spelled(const std::string& word) {
    Tokens made;
    for (char letter : word) made.resize(made.size() + kKvBlockPositions, letter);
    return made;
  }
  void ask(const std::string& word) {
    answer(spelled(word));
    ++uses_;
    for (size_t i = 1; i <= word.size(); ++i) last_use_[word.substr(0, i)] = uses_;
  }
  // A session that begins with it, and stays.
  void hold(const std::string& word) {
    held_.emplace_back(word, new_cache());
    begin(spelled(word), held_.back().second.get());
    ++uses_;
    for (size_t i = 1; i <= word.size(); ++i) last_use_.at(word.substr(0, i)) = uses_;
  }
  void release() { held_.erase(held_.begin()); }
  bool is_held(const std::string& word) const {
    return std::ranges::any_of(held_, [&](const auto& one) { return one.first.starts_with(word); });
  }
  void drop_to(size_t most) {
    kept_.shrink(bytes(static_cast<uint32_t>(most)));
    while (true) {
      size_t counted = 0;
      const std::string* next = nullptr;
      for (const auto& [word, use] : last_use_) {
        if (is_held(word)) continue;
        ++counted;
        auto after = last_use_.upper_bound(word);
        bool is_end = after == last_use_.end() || !after->first.starts_with(word);
        if (is_end && (next == nullptr || use < last_use_.at(*next))) next = &word;
      }
      if (counted <= most || next == nullptr) return;
      last_use_.erase(*next);
    }
  }
  void expect_same() {
    ASSERT_EQ(kept_.blocks(), last_use_.size());
    for (const auto& [word, use] : last_use_) {
      ASSERT_EQ(kept_.find(spelled(word)).length, word.size() * kKvBlockPositions) << word;
    }
  }

  std::map<std::string, uint64_t> last_use_;
  std::vector<std::pair<std::string, std::unique_ptr<KvCache>>> held_;
  uint64_t uses_ = 0;
};

TEST_F(LetteredPrefixCacheTest, WhatAWalkWouldFindGoes) {
  CounterRandom random(3);
  uint64_t draws = 0;
  auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random.bits(++draws) % below); };
  for (int i = 0; i < 600; ++i) {
    std::string word;
    for (uint32_t length = 1 + draw(4); word.size() < length;) word += "abc"[draw(3)];
    // Nothing goes for want of room, but when it is told to.
    drop_to(last_use_.size() > 24 ? draw(20) : 40);
    ask(word);
    if (draw(4) == 0 && held_.size() < 2) hold(word);
    if (draw(6) == 0 && !held_.empty()) release();
    expect_same();
  }
}

class LargePrefixCacheTest : public PrefixCacheTest {
 protected:
  static constexpr uint32_t kTrunks = 316;
  static constexpr uint32_t kEnds = 316;  // of each trunk
  static constexpr uint32_t kNodes = kTrunks * (1 + kEnds);

  LargePrefixCacheTest() : PrefixCacheTest(test::small_cache_shape(), kNodes + 8) {}

  static Tokens one_of(uint32_t trunk, uint32_t end) {
    Tokens made(kKvBlockPositions, static_cast<TokenId>(trunk));
    made.push_back(static_cast<TokenId>(end));
    return made;
  }
};

// Counted in parts that are looked at: a walk would look at a hundred thousand for each.
TEST_F(LargePrefixCacheTest, WhatGoesIsFoundWithoutAWalk) {
  answer(one_of(0, 0));
  std::unique_ptr<KvCache> oldest = new_cache();
  begin(one_of(0, 0), oldest.get());
  for (uint32_t trunk = 0; trunk < kTrunks; ++trunk) {
    for (uint32_t end = 0; end < kEnds; ++end) {
      if (trunk + end > 0) answer(one_of(trunk, end));
    }
  }
  ASSERT_EQ(kept_.blocks(), kNodes);
  EXPECT_EQ(kept_.looked_at(), 0u);
  kept_.shrink(bytes(kNodes / 2));
  EXPECT_EQ(kept_.find(one_of(kTrunks - 1, kEnds - 1)).length, kKvBlockPositions + 1);
  EXPECT_LT(kept_.find(one_of(1, 1)).length, kKvBlockPositions + 1);
  kept_.shrink(0);
  EXPECT_EQ(kept_.blocks(), 2u) << "what a session holds";
  EXPECT_EQ(kept_.find(one_of(0, 0)).length, kKvBlockPositions + 1);
  EXPECT_LE(kept_.looked_at(), 2 * kNodes) << "each, and the one that is held";
}

}  // namespace
}  // namespace potluck
