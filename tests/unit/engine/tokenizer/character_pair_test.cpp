#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

const std::string kSpaceMark = "\xE2\x96\x81";

std::vector<std::string> character_pieces(const TinyVocabulary& tiny, std::string_view text,
                                          SpecialTokens special = SpecialTokens::kAsText) {
  std::vector<std::string> pieces;
  for (TokenId token : encode_ok(*tiny.make(), text, special)) {
    pieces.push_back(tiny.texts[static_cast<size_t>(token)]);
  }
  return pieces;
}

using Texts = std::vector<std::string>;

TEST(CharacterPairEncoder, TheLowestRankMergesFirst) {
  const auto tiny = character_pair_vocabulary();
  EXPECT_EQ(character_pieces(tiny, "hello"), Texts{"hello"});
  EXPECT_EQ(character_pieces(tiny, "lllo"), (Texts{"ll", "l", "o"}));  // the left one first
  // A space is a character; of " hello", "he" is taken by the space before "ll" can have it.
  EXPECT_EQ(character_pieces(tiny, " hello"), (Texts{kSpaceMark + "he", "ll", "o"}));
  EXPECT_EQ(character_pieces(tiny, "o  o"), (Texts{"o", kSpaceMark + kSpaceMark, "o"}));
  EXPECT_EQ(character_pieces(tiny, "o" + kSpaceMark + "o"), (Texts{"o", kSpaceMark, "o"}));
  EXPECT_TRUE(character_pieces(tiny, "").empty());
}

TEST(CharacterPairEncoder, LineBreaksAreApart) {
  const auto tiny = character_pair_vocabulary();
  EXPECT_EQ(character_pieces(tiny, "o\no"), (Texts{"o", "\n", "o"}));
  EXPECT_EQ(character_pieces(tiny, "\n\n"), Texts{"\n\n"});
  EXPECT_EQ(character_pieces(tiny, "\n\n\no"), (Texts{"\n\n", "\n", "o"}));
  EXPECT_EQ(character_pieces(tiny, "o\n\n\n\n"), (Texts{"o", "\n\n\n\n"}));
}

TEST(CharacterPairEncoder, CharactersWithoutATokenBecomeBytes) {
  const auto tiny = character_pair_vocabulary();
  EXPECT_EQ(character_pieces(tiny, "\xC3\xA9"), Texts{"\xC3\xA9"});
  EXPECT_EQ(character_pieces(tiny, "h\xE2\x82\xAC"), (Texts{"h", "<0xE2>", "<0x82>", "<0xAC>"}));
  auto cut = tiny;
  cut.types[6 + 0x82] = kUnusedType;
  EXPECT_EQ(character_pieces(cut, "h\xE2\x82\xAC"), (Texts{"h", "<unk>"}));
}

// Looks at all neighbors again after each merge.
Texts merge_naively(const std::vector<std::string>& merges, Texts parts) {
  for (size_t rank = 0; rank < merges.size();) {
    bool merged = false;
    for (size_t i = 0; i + 1 < parts.size() && !merged; ++i) {
      if (parts[i] + " " + parts[i + 1] != merges[rank]) continue;
      parts[i] += parts[i + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(i) + 1);
      merged = true;
    }
    rank = merged ? 0 : rank + 1;
  }
  return parts;
}

TEST(CharacterPairEncoder, AgreesWithMergingNaively) {
  const auto tiny = character_pair_vocabulary();
  const Texts letters = {"h", "e", "l", "o", kSpaceMark, "\xC3\xA9"};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CounterRandom random(seed);
    Texts parts;
    std::string text;
    for (uint64_t i = 0; i < 1 + seed % 40; ++i) {
      parts.push_back(letters[random.bits(i) % letters.size()]);
      text += parts.back() == kSpaceMark ? " " : parts.back();
    }
    ASSERT_EQ(character_pieces(tiny, text), merge_naively(tiny.merges, parts)) << text;
  }
}

TEST(CharacterPairEncoder, TextsComeBack) {
  const auto tokenizer = character_pair_vocabulary().make();
  for (const std::string text :
       {" hello\n\n  he\xC3\xA9\xE2\x82\xAC\n", "he llo <turn|> \t", "\n"}) {
    EXPECT_EQ(tokenizer->decode(encode_ok(*tokenizer, text)), text);
    EXPECT_EQ(stream(*tokenizer, encode_ok(*tokenizer, text)), text);
  }
}

TEST(CharacterPairEncoder, KnowsItsTurns) {
  const auto tiny = character_pair_vocabulary();
  const auto tokenizer = tiny.make();
  EXPECT_EQ(tokenizer->prompt_prefix(), std::vector<TokenId>{2});
  EXPECT_TRUE(tokenizer->is_end(1));
  EXPECT_TRUE(tokenizer->is_end(5));
  EXPECT_FALSE(tokenizer->is_end(4));
  EXPECT_EQ(character_pieces(tiny, "<|turn>hello<turn|>", SpecialTokens::kParse),
            (Texts{"<|turn>", "hello", "<turn|>"}));
  // What users write is no turn.
  EXPECT_EQ(encode_ok(*tokenizer, "<turn|>").size(), 7u);
}

}  // namespace
}  // namespace potluck
