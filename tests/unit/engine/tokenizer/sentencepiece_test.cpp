#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

const std::string kMark = "\xE2\x96\x81";

// The texts of the tokens, for readable expectations.
std::vector<std::string> pieces(const TinyVocabulary& tiny, std::string_view text,
                                SpecialTokens special = SpecialTokens::kAsText) {
  std::vector<std::string> pieces;
  for (TokenId token : encode_ok(*tiny.make(), text, special)) {
    pieces.push_back(tiny.texts[static_cast<size_t>(token)]);
  }
  return pieces;
}

using Pieces = std::vector<std::string>;

TEST(SentencePieceEncoder, TheBestScoreMergesFirst) {
  const auto tiny = sentencepiece_vocabulary();
  EXPECT_EQ(pieces(tiny, "hello"), Pieces{kMark + "hello"});
  EXPECT_EQ(pieces(tiny, "hell"), (Pieces{kMark, "he", "ll"}));
  EXPECT_EQ(pieces(tiny, "t"), Pieces{kMark + "t"});
  EXPECT_EQ(pieces(tiny, "llllo"), (Pieces{kMark, "ll", "llo"}));
  EXPECT_EQ(pieces(tiny, "lllo"), (Pieces{kMark, "ll", "l", "o"}));  // the left one first
  EXPECT_TRUE(pieces(tiny, "").empty());
}

TEST(SentencePieceEncoder, SpacesAreMarks) {
  const auto tiny = sentencepiece_vocabulary();
  EXPECT_EQ(pieces(tiny, " "), Pieces{kMark + kMark});
  EXPECT_EQ(pieces(tiny, "t  t"), (Pieces{kMark + "t", kMark + kMark, "t"}));
  EXPECT_EQ(pieces(tiny, "t" + kMark + "t"), (Pieces{kMark + "t", kMark + "t"}));
}

TEST(SentencePieceEncoder, CharactersWithoutATokenBecomeBytes) {
  const auto tiny = sentencepiece_vocabulary();
  EXPECT_EQ(pieces(tiny, "\n"), (Pieces{kMark, "<0x0A>"}));
  EXPECT_EQ(pieces(tiny, "t\xE2\x82\xAC"), (Pieces{kMark + "t", "<0xE2>", "<0x82>", "<0xAC>"}));
  const auto tokenizer = tiny.make();
  EXPECT_EQ(tokenizer->bytes_of(encode_ok(*tokenizer, "\n")[1]), "\n");
}

TEST(SentencePieceEncoder, TheLeadingSpaceCanBeOff) {
  auto tiny = sentencepiece_vocabulary();
  tiny.set("add_space_prefix", false);
  EXPECT_EQ(pieces(tiny, "hello"), Pieces{"hello"});
  EXPECT_FALSE(tiny.make()->strips_leading_space());
  EXPECT_EQ(tiny.make()->decode(encode_ok(*tiny.make(), " t")), " t");
}

TEST(SentencePieceEncoder, EveryStretchAfterASpecialTokenBeginsAnew) {
  const auto tiny = sentencepiece_vocabulary();
  EXPECT_EQ(pieces(tiny, "<s>hello</s>t", SpecialTokens::kParse),
            (Pieces{"<s>", kMark + "hello", "</s>", kMark + "t"}));
}

// Merges by looking at all neighbors again after each merge.
std::vector<std::string> naive_pieces(const std::map<std::string, double>& scores,
                                      std::vector<std::string> parts) {
  while (true) {
    size_t best = SIZE_MAX;
    double best_score = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = scores.find(parts[i] + parts[i + 1]);
      if (found == scores.end()) continue;
      if (best != SIZE_MAX && found->second <= best_score) continue;
      best = i;
      best_score = found->second;
    }
    if (best == SIZE_MAX) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(SentencePieceEncoder, MergesLikeTheDefinition) {
  constexpr uint64_t kSeed = 99;
  SCOPED_TRACE(kSeed);
  const CounterRandom random(kSeed);
  for (uint64_t round = 0; round < 200; ++round) {
    TinyVocabulary tiny;
    tiny.model = "llama";
    std::map<std::string, double> scores;
    const std::vector<std::string> letters = {kMark, "a", "b"};
    for (const std::string& letter : letters) tiny.add(letter);
    // Every other round has tokens with a space in the middle, which forbid cutting into words.
    std::vector<std::string> pool = letters;
    for (uint64_t i = 0; i < 30; ++i) {
      const std::string text = pool[random.bits(round, 3 * i) % pool.size()] +
                               pool[random.bits(round, 3 * i + 1) % pool.size()];
      const size_t mark = text.rfind(kMark);
      const bool inside = mark != std::string::npos && text.find_first_of("ab") < mark;
      if (text.size() > 20 || scores.contains(text) || (inside && round % 2 == 0)) continue;
      // Few distinct scores, so that ties are common.
      const auto score = -static_cast<double>(random.bits(round, 3 * i + 2) % 8);
      tiny.add(text, kNormalType, score);
      scores[text] = score;
      pool.push_back(text);
    }
    for (uint64_t n = 0; n < 10; ++n) {
      std::string text;
      std::vector<std::string> parts = {kMark};
      const uint64_t length = 1 + random.bits(round, 1000 + n) % 40;
      for (uint64_t i = 0; i < length; ++i) {
        parts.push_back(letters[random.bits(round, 10000 + 100 * n + i) % 3]);
        text += parts.back() == kMark ? " " : parts.back();
      }
      ASSERT_EQ(pieces(tiny, text), naive_pieces(scores, parts)) << round << " " << text;
    }
  }
}

TEST(SentencePieceEncoder, OneWordOfAMegabyte) {
  auto tiny = sentencepiece_vocabulary();
  tiny.add("llll", kNormalType, -8);
  const auto tokenizer = tiny.make();
  const std::string word(1 << 20, 'l');
  const auto tokens = encode_ok(*tokenizer, word);
  EXPECT_EQ(tokens.size(), word.size() / 4 + 1);
  EXPECT_EQ(tokenizer->decode(tokens), word);
}

TEST(SentencePieceEncoder, ATokenWithAPlainSpaceIsOnlyShown) {
  auto tiny = sentencepiece_vocabulary();
  const TokenId odd = tiny.add("t t", kNormalType, 100);
  const auto tokenizer = tiny.make();
  EXPECT_EQ(tokenizer->bytes_of(odd), "t t");
  EXPECT_EQ(pieces(tiny, "t t"), (Pieces{kMark + "t", kMark + "t"}));
}

}  // namespace
}  // namespace potluck
