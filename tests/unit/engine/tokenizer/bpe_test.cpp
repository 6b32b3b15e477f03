// Merging, checked against the definition: look for the pair of lowest rank in the whole word,
// merge its leftmost occurrence, start over.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

using Texts = std::vector<std::string>;

class NaiveMerger {
 public:
  explicit NaiveMerger(const TinyVocabulary& tiny) {
    for (size_t id = 0; id < tiny.texts.size(); ++id) {
      ids_[tiny.texts[id]] = static_cast<TokenId>(id);
    }
    for (size_t rank = 0; rank < tiny.merges.size(); ++rank) {
      const std::string& merge = tiny.merges[rank];
      const size_t space = merge.find(' ');
      ranks_.try_emplace({merge.substr(0, space), merge.substr(space + 1)}, rank);
    }
  }

  std::vector<TokenId> encode(std::string_view word) const {
    Texts parts;
    for (char c : word) parts.push_back(alphabet_of(static_cast<uint8_t>(c)));
    while (true) {
      size_t best = SIZE_MAX, best_rank = SIZE_MAX;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = ranks_.find({parts[i], parts[i + 1]});
        if (found == ranks_.end() || found->second >= best_rank) continue;
        best = i;
        best_rank = found->second;
      }
      if (best == SIZE_MAX) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<TokenId> ids;
    for (const std::string& part : parts) ids.push_back(ids_.at(part));
    return ids;
  }

 private:
  std::map<std::string, TokenId> ids_;
  std::map<std::pair<std::string, std::string>, size_t> ranks_;
};

// Merges of random neighbors over few letters, so that they overlap in every way.
TinyVocabulary random_vocabulary(const CounterRandom& random, uint64_t round) {
  TinyVocabulary tiny;
  for (int byte = 0; byte < 256; ++byte) tiny.add(alphabet_of(static_cast<uint8_t>(byte)));
  Texts pool = {"a", "b", "c"};
  for (uint64_t i = 0; i < 40; ++i) {
    const std::string left = pool[random.bits(round, 2 * i) % pool.size()];
    const std::string right = pool[random.bits(round, 2 * i + 1) % pool.size()];
    if (left.size() + right.size() > 12) continue;
    tiny.merge(left, right);
    pool.push_back(left + right);
  }
  return tiny;
}

TEST(BytePairEncoder, MergesLikeTheDefinition) {
  constexpr uint64_t kSeed = 20250101;
  SCOPED_TRACE(kSeed);
  const CounterRandom random(kSeed);
  for (uint64_t round = 0; round < 200; ++round) {
    const TinyVocabulary tiny = random_vocabulary(random, round);
    const auto tokenizer = tiny.make();
    const NaiveMerger naive(tiny);
    for (uint64_t n = 0; n < 20; ++n) {
      std::string word;
      const uint64_t length = 1 + random.bits(round, 1000 + n) % 60;
      for (uint64_t i = 0; i < length; ++i) {
        word += static_cast<char>('a' + random.bits(round, 10000 + 100 * n + i) % 3);
      }
      ASSERT_EQ(encode_ok(*tokenizer, word), naive.encode(word)) << round << " " << word;
    }
  }
}

TEST(BytePairEncoder, EqualRanksMergeFromTheLeft) {
  const auto tiny = byte_level_vocabulary();
  const auto tokenizer = tiny.make();
  const NaiveMerger naive(tiny);
  for (size_t length = 1; length < 20; ++length) {
    const std::string word(length, 'a');
    EXPECT_EQ(encode_ok(*tokenizer, word), naive.encode(word)) << length;
  }
}

TEST(BytePairEncoder, AMergeWaitsForItsParts) {
  // The merge of E2 82 with AC has a lower rank than the one that makes E2 82 in the first place.
  const auto tiny = byte_level_vocabulary();
  const auto tokenizer = tiny.make();
  const auto tokens = encode_ok(*tokenizer, "\xE2\x82\xAC");
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokenizer->bytes_of(tokens[0]), "\xE2\x82\xAC");
}

TEST(BytePairEncoder, OneWordOfAMegabyte) {
  // Merging by rescanning the word would take hours.
  const auto tokenizer = byte_level_vocabulary().make();
  const std::string word(1 << 20, 'a');
  const auto tokens = encode_ok(*tokenizer, word);
  EXPECT_EQ(tokens.size(), word.size() / 4);
  EXPECT_EQ(tokenizer->decode(tokens), word);
}

TEST(BytePairEncoder, WordsDoNotMergeWithEachOther) {
  const auto tokenizer = byte_level_vocabulary().make();
  EXPECT_EQ(encode_ok(*tokenizer, "the the"), (std::vector<TokenId>{261, 262}));
  EXPECT_EQ(encode_ok(*tokenizer, "t he"), (std::vector<TokenId>{'t', ' ', 'h', 'e'}));
  EXPECT_TRUE(encode_ok(*tokenizer, "").empty());
}

TEST(BytePairEncoder, ByteTokensAreASecondChoice) {
  TinyVocabulary tiny;
  tiny.add("a");
  tiny.add("<0x61>", kByteType);
  tiny.add("<0x62>", kByteType);
  const auto tokenizer = tiny.make();
  const auto tokens = encode_ok(*tokenizer, "ab");
  EXPECT_EQ(tokens, (std::vector<TokenId>{0, 2}));
  EXPECT_EQ(tokenizer->decode(tokens), "ab");
}

TEST(BytePairEncoder, InvalidUtf8IsAnErrorThatNamesTheByte) {
  const auto tokenizer = byte_level_vocabulary().make();
  for (SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
    const auto refused = tokenizer->encode("fine until \xC3( here", special);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("byte 11"), std::string::npos);
  }
}

TEST(BytePairEncoder, ComposesWhereTheModelDoes) {
  auto tiny = byte_level_vocabulary();
  tiny.pre = "qwen2";
  const auto tokenizer = tiny.make();
  EXPECT_EQ(encode_ok(*tokenizer, "e\xCC\x81<think>e\xCC\x81"),
            (std::vector<TokenId>{0xC3, 0xA9, 259, 0xC3, 0xA9}));
}

}  // namespace
}  // namespace potluck
