// What is proposed to follow a text, and that it costs the same for each token.
#include "engine/model/prompt_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

LookupProposal propose(const std::vector<TokenId>& tokens, uint32_t most) {
  PromptLookup lookup(100);
  lookup.update(tokens);
  return lookup.propose(tokens, most);
}

TEST(PromptLookup, GoesOnAsTheTextDidBefore) {
  LookupProposal found = propose({7, 1, 2, 3, 4, 5, 6, 9, 1, 2}, 3);
  EXPECT_THAT(found.tokens, ElementsAre(3, 4, 5));
  EXPECT_EQ(found.matched, 2u);
  EXPECT_THAT(propose({1, 2, 3, 4, 5}, 3).tokens, IsEmpty());
  EXPECT_THAT(propose({}, 3).tokens, IsEmpty());
  EXPECT_THAT(propose({5}, 3).tokens, IsEmpty());
  EXPECT_THAT(propose({1, 2, 3, 1, 2}, 0).tokens, IsEmpty());
}

TEST(PromptLookup, TheLatestOccurrenceCounts) {
  EXPECT_THAT(propose({1, 2, 3, 0, 1, 2, 4, 0, 8, 1, 2}, 1).tokens, ElementsAre(4));
}

TEST(PromptLookup, ALongerOneCountsMoreThanALaterOne) {
  LookupProposal found = propose({1, 2, 3, 4, 50, 9, 3, 4, 60, 9, 1, 2, 3, 4}, 1);
  EXPECT_THAT(found.tokens, ElementsAre(50));
  EXPECT_EQ(found.matched, 4u);
}

TEST(PromptLookup, WhatRepeatsItselfGoesOnRepeating) {
  EXPECT_THAT(propose({8, 1, 2, 3, 1, 2, 3, 1, 2}, 7).tokens, ElementsAre(3, 1, 2, 3, 1, 2, 3));
  LookupProposal same = propose(std::vector<TokenId>(40, 6), 4);
  EXPECT_THAT(same.tokens, ElementsAre(6, 6, 6, 6));
  EXPECT_EQ(same.matched, PromptLookup::kMostMatched);
}

// By looking through the whole text.
std::vector<TokenId> by_scanning(std::span<const TokenId> tokens, uint32_t most) {
  for (size_t length : {4, 2}) {
    for (size_t end = tokens.size() - 1; end >= length && tokens.size() > length; --end) {
      if (!std::equal(tokens.end() - static_cast<ptrdiff_t>(length), tokens.end(),
                      tokens.begin() + static_cast<ptrdiff_t>(end - length))) {
        continue;
      }
      std::vector<TokenId> text(tokens.begin(), tokens.end());
      for (size_t next = end; text.size() < tokens.size() + most; ++next) {
        text.push_back(text[next]);
      }
      return {text.begin() + static_cast<ptrdiff_t>(tokens.size()), text.end()};
    }
  }
  return {};
}

TEST(PromptLookup, TheIndexFindsWhatAScanFinds) {
  CounterRandom random(5);
  std::vector<TokenId> tokens;
  PromptLookup lookup(400);
  size_t proposals = 0;
  size_t missed = 0;
  while (tokens.size() < 400) {
    tokens.push_back(static_cast<TokenId>(random.bits(tokens.size()) % 9));
    if (random.bits(tokens.size(), 1) % 3 == 0) continue;  // several at a time, too
    lookup.update(tokens);
    std::vector<TokenId> found = lookup.propose(tokens, 5).tokens;
    // An n-gram whose slot another one has taken is as good as unknown.
    missed += found == by_scanning(tokens, 5) ? 0 : 1;
    proposals += found.empty() ? 0 : 1;
  }
  EXPECT_GT(proposals, 100u);
  EXPECT_LT(missed, 10u);
}

// Where there are more n-grams than slots, the early ones are forgotten; nothing wrong is found.
TEST(PromptLookup, ForgetsRatherThanGrows) {
  CounterRandom random(6);
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < 300000; ++i) tokens.push_back(static_cast<TokenId>(random.bits(i) >> 40));
  std::vector<TokenId> late(tokens.end() - 1000, tokens.end() - 990);
  for (size_t i = 0; i < 4; ++i) tokens.push_back(late[i]);
  PromptLookup lookup(1 << 20);
  lookup.update(tokens);
  LookupProposal found = lookup.propose(tokens, 6);
  EXPECT_EQ(found.tokens, std::vector<TokenId>(late.begin() + 4, late.end()));
  EXPECT_EQ(found.matched, 4u);
}

}  // namespace
}  // namespace potluck
