#include "engine/tokenizer/merge_table.h"

#include <map>
#include <utility>

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(MergeTable, FindsExactlyWhatWasInserted) {
  constexpr uint64_t kSeed = 7;
  const CounterRandom random(kSeed);
  constexpr size_t kMerges = 5000;
  MergeTable table(kMerges);
  std::map<std::pair<TokenId, TokenId>, uint32_t> expected;
  for (uint32_t rank = 0; rank < kMerges; ++rank) {
    // Few tokens, so that pairs repeat: the first rank must stay.
    const auto left = static_cast<TokenId>(random.bits(rank, 0) % 80);
    const auto right = static_cast<TokenId>(random.bits(rank, 1) % 80);
    table.insert(left, right, {rank, left + right});
    expected.try_emplace({left, right}, rank);
  }
  for (TokenId left = 0; left < 90; ++left) {
    for (TokenId right = 0; right < 90; ++right) {
      const Merge* found = table.find(left, right);
      const auto known = expected.find({left, right});
      ASSERT_EQ(found != nullptr, known != expected.end()) << left << " " << right;
      if (found == nullptr) continue;
      EXPECT_EQ(found->rank, known->second);
      EXPECT_EQ(found->merged, left + right);
    }
  }
}

TEST(MergeTable, AnEmptyTableFindsNothing) {
  EXPECT_EQ(MergeTable(0).find(0, 0), nullptr);
}

}  // namespace
}  // namespace potluck
