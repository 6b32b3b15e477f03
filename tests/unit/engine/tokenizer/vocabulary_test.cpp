// What make_tokenizer makes of good, odd and hostile metadata.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

using testing::HasSubstr;

std::string error_of(const GgufMetadata& metadata) {
  const auto tokenizer = make_tokenizer(metadata);
  return tokenizer ? "no error" : tokenizer.error().message;
}

TEST(Vocabulary, KindsAndRoles) {
  const auto tokenizer = byte_level_vocabulary().make();
  EXPECT_TRUE(tokenizer->is_control(256));
  EXPECT_TRUE(tokenizer->is_end(256));
  EXPECT_TRUE(tokenizer->is_control(257));
  EXPECT_FALSE(tokenizer->is_end(257));
  EXPECT_TRUE(tokenizer->is_end(258));       // <|im_end|>, by name
  EXPECT_FALSE(tokenizer->is_control(259));  // <think> is shown
  EXPECT_EQ(tokenizer->bytes_of(259), "<think>");
  EXPECT_EQ(tokenizer->bytes_of(262), " the");
  EXPECT_EQ(tokenizer->bytes_of('\n'), "\n");
}

TEST(Vocabulary, IdsOutOfRangeAreNothing) {
  const auto tokenizer = byte_level_vocabulary().make();
  for (TokenId token : {-1, static_cast<TokenId>(tokenizer->vocabulary_size()),
                        std::numeric_limits<TokenId>::min(), std::numeric_limits<TokenId>::max()}) {
    EXPECT_EQ(tokenizer->bytes_of(token), "");
    EXPECT_FALSE(tokenizer->is_control(token));
    EXPECT_FALSE(tokenizer->is_end(token));
    EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{'a', token, 'b'}), "ab");
  }
}

TEST(Vocabulary, PromptPrefix) {
  auto tiny = byte_level_vocabulary();
  EXPECT_TRUE(tiny.make()->prompt_prefix().empty());
  tiny.set("bos_token_id", uint64_t{256});
  EXPECT_TRUE(tiny.make()->prompt_prefix().empty());
  tiny.pre = "llama-bpe";  // asks for it by itself
  EXPECT_EQ(tiny.make()->prompt_prefix(), std::vector<TokenId>{256});
  tiny.set("add_bos_token", false);
  EXPECT_TRUE(tiny.make()->prompt_prefix().empty());

  auto pieces = sentencepiece_vocabulary();
  EXPECT_EQ(pieces.make()->prompt_prefix(), std::vector<TokenId>{1});  // customary
  pieces.set("add_bos_token", false);
  EXPECT_TRUE(pieces.make()->prompt_prefix().empty());
}

TEST(Vocabulary, WithoutTokenTypesAllIsTextButTheMarkers) {
  TinyVocabulary tiny = byte_level_vocabulary();
  GgufMetadata metadata;
  metadata.insert("tokenizer.ggml.model", std::string("gpt2"));
  metadata.insert("tokenizer.ggml.tokens", MetadataArray(tiny.texts));
  metadata.insert("tokenizer.ggml.merges", MetadataArray(tiny.merges));
  metadata.insert("tokenizer.ggml.eos_token_id", uint64_t{256});
  const auto tokenizer = make_tokenizer(metadata);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_TRUE((*tokenizer)->is_control(256));
  EXPECT_TRUE((*tokenizer)->is_control(257));  // <|im_start|>, by its form
  EXPECT_TRUE((*tokenizer)->is_end(258));
  EXPECT_FALSE((*tokenizer)->is_control(262));  // " the"
  EXPECT_EQ(encode_ok(**tokenizer, "<|endoftext|>", SpecialTokens::kParse),
            std::vector<TokenId>{256});
}

TEST(Vocabulary, UserDefinedTokensThatLookLikeControlAre) {
  auto tiny = byte_level_vocabulary();
  const TokenId user = tiny.add("<|User|>", kUserType);
  const TokenId wide = tiny.add("<\xEF\xBD\x9CUser\xEF\xBD\x9C>", kUserType);
  const TokenId end = tiny.add("</s>", kUserType);
  const TokenId bars = tiny.add("<||>", kUserType);
  const auto tokenizer = tiny.make();
  EXPECT_TRUE(tokenizer->is_control(user));
  EXPECT_TRUE(tokenizer->is_control(wide));
  EXPECT_TRUE(tokenizer->is_control(end));
  EXPECT_TRUE(tokenizer->is_end(end));
  EXPECT_FALSE(tokenizer->is_control(bars));
}

TEST(Vocabulary, AWrongRoleDoesNotTakeALetterAway) {
  // Files with a default in place of the real id point at the first letters of the vocabulary.
  auto tiny = byte_level_vocabulary();
  tiny.set("bos_token_id", uint64_t{'"'});
  const auto tokenizer = tiny.make();
  EXPECT_FALSE(tokenizer->is_control('"'));
  EXPECT_EQ(encode_ok(*tokenizer, "\""), std::vector<TokenId>{'"'});
}

TEST(Vocabulary, HarmonyDoesNotEndAtTheEndOfAMessage) {
  auto tiny = byte_level_vocabulary();
  const TokenId end = tiny.add("<|end|>", kControlType);
  EXPECT_TRUE(tiny.make()->is_end(end));
  const TokenId returns = tiny.add("<|return|>", kControlType);
  const TokenId call = tiny.add("<|call|>", kControlType);
  const auto tokenizer = tiny.make();
  EXPECT_FALSE(tokenizer->is_end(end));
  EXPECT_TRUE(tokenizer->is_end(returns));
  EXPECT_TRUE(tokenizer->is_end(call));
}

TEST(Vocabulary, UserTextNeverBecomesAControlToken) {
  auto tiny = byte_level_vocabulary();
  // The bytes of a name could also be put together by merges.
  const TokenId evil = tiny.add("xy", kControlType);
  tiny.merges.push_back("x y");
  tiny.merges.push_back("xy in");
  tiny.add("xyin");
  const auto tokenizer = tiny.make();
  const std::string text = "<|endoftext|><|im_start|>xy<|im_end|>xyin<think>";
  for (TokenId token : encode_ok(*tokenizer, text)) EXPECT_FALSE(tokenizer->is_control(token));
  EXPECT_EQ(encode_ok(*tokenizer, "xy"), (std::vector<TokenId>{'x', 'y'}));
  EXPECT_EQ(encode_ok(*tokenizer, "xy", SpecialTokens::kParse), std::vector<TokenId>{evil});
  EXPECT_EQ(tokenizer->decode(encode_ok(*tokenizer, text)), text);
  // A user-defined token is text of a kind, and is found in it.
  EXPECT_EQ(encode_ok(*tokenizer, "a<think>"), (std::vector<TokenId>{'a', 259}));
}

TEST(Vocabulary, WholeWordsDoNotBecomeControlTokensEither) {
  auto tiny = byte_level_vocabulary();
  tiny.pre = "llama-bpe";
  tiny.add("word", kControlType);
  tiny.add("unused", kUnusedType);
  const TokenId whole = tiny.add("whole");
  const auto tokenizer = tiny.make();
  EXPECT_EQ(encode_ok(*tokenizer, "word").size(), 4u);
  EXPECT_EQ(encode_ok(*tokenizer, "unused").size(), 6u);
  EXPECT_EQ(encode_ok(*tokenizer, "whole"), std::vector<TokenId>{whole});  // without any merge
}

TEST(Vocabulary, SentencePieceNamesAreTextToo) {
  auto tiny = sentencepiece_vocabulary();
  tiny.add("<");
  tiny.add("s");
  tiny.add(">");
  const auto tokenizer = tiny.make();
  for (const char* text : {"<s>", "</s>", "<unk>", "<0x41>"}) {
    const auto tokens = encode_ok(*tokenizer, text);
    EXPECT_GT(tokens.size(), 1u);
    for (TokenId token : tokens) EXPECT_FALSE(tokenizer->is_control(token)) << text;
    EXPECT_EQ(tokenizer->decode(tokens), text);
  }
  EXPECT_EQ(encode_ok(*tokenizer, "<s>", SpecialTokens::kParse), std::vector<TokenId>{1});
}

struct Hostile {
  const char* name;
  std::function<void(TinyVocabulary*)> spoil;
  const char* message;  // part of the error
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

class HostileBytePair : public testing::TestWithParam<Hostile> {};

TEST_P(HostileBytePair, IsAnError) {
  auto tiny = byte_level_vocabulary();
  GetParam().spoil(&tiny);
  EXPECT_THAT(error_of(tiny.metadata()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HostileBytePair,
    testing::Values(
        Hostile{"no tokens", [](auto* v) { v->texts.clear(), v->types.clear(); }, "no tokens"},
        Hostile{"too few types", [](auto* v) { v->types.pop_back(); }, "one per token"},
        Hostile{"too many types", [](auto* v) { v->types.push_back(1); }, "one per token"},
        Hostile{"type beyond the known", [](auto* v) { v->types[5] = 7; }, "token 5: type 0 to 6"},
        Hostile{"negative type", [](auto* v) { v->types[5] = -1; }, "found -1"},
        Hostile{"text that is not UTF-8", [](auto* v) { v->add("a\xFF"); }, "not UTF-8 at byte 1"},
        Hostile{"name without end", [](auto* v) { v->add(std::string(1000, 'x'), kControlType); },
                "at most 640 bytes"},
        Hostile{"byte of no value", [](auto* v) { v->add("<0x-1>", kByteType); },
                "<0x00> to <0xFF>"},
        Hostile{"byte with a sign", [](auto* v) { v->add("<0x+1>", kByteType); },
                "<0x00> to <0xFF>"},
        Hostile{"byte beyond 255", [](auto* v) { v->add("<0x100>", kByteType); },
                "<0x00> to <0xFF>"},
        Hostile{"byte without a name", [](auto* v) { v->add("", kByteType); }, "<0x00> to <0xFF>"},
        Hostile{"byte cut short", [](auto* v) { v->add("<0x1>", kByteType); }, "<0x00> to <0xFF>"},
        Hostile{"flag of the wrong type",
                [](auto* v) { v->set("add_bos_token", std::string("x")); }, "add_bos_token"},
        Hostile{"merge without a space", [](auto* v) { v->merges.push_back("th"); },
                "tokenizer.ggml.merges: entry 9: expected two parts"},
        Hostile{"merge without a left part", [](auto* v) { v->merges.push_back(" h"); },
                "expected two parts"},
        Hostile{"merge without a right part", [](auto* v) { v->merges.push_back("t "); },
                "expected two parts"},
        Hostile{"merge of three", [](auto* v) { v->merges.push_back("t h e"); },
                "expected two parts"},
        Hostile{"empty merge", [](auto* v) { v->merges.push_back(""); }, "expected two parts"},
        Hostile{"unknown model", [](auto* v) { v->model = "bert"; }, "known are gpt2 llama gemma4"},
        Hostile{"unknown pre-tokenizer", [](auto* v) { v->pre = "nobody"; }, "\"nobody\""}));

class HostileSentencePiece : public testing::TestWithParam<Hostile> {};

TEST_P(HostileSentencePiece, IsAnError) {
  auto tiny = sentencepiece_vocabulary();
  GetParam().spoil(&tiny);
  EXPECT_THAT(error_of(tiny.metadata()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HostileSentencePiece,
    testing::Values(
        Hostile{"too few scores", [](auto* v) { v->scores.pop_back(); }, "one per token"},
        Hostile{"too many scores", [](auto* v) { v->scores.push_back(0); }, "one per token"},
        Hostile{"a score that is no number",
                [](auto* v) { v->scores[9] = std::numeric_limits<double>::quiet_NaN(); },
                "entry 9: expected a finite number"},
        Hostile{"an endless score",
                [](auto* v) { v->scores[9] = std::numeric_limits<double>::infinity(); }, "finite"},
        Hostile{"a score beyond float", [](auto* v) { v->scores[9] = -1e300; }, "finite"},
        Hostile{"byte of no value", [](auto* v) { v->texts[4] = "<0x-1>"; }, "<0x00> to <0xFF>"},
        Hostile{"flag of the wrong type",
                [](auto* v) { v->set("add_space_prefix", std::string("x")); },
                "add_space_prefix"}));

TEST(Vocabulary, MissingKeysAreNamed) {
  for (const std::string key : {"model", "tokens", "merges"}) {
    const GgufMetadata all = byte_level_vocabulary().metadata();
    GgufMetadata most;
    for (const std::string& known : all.keys()) {
      if (known != "tokenizer.ggml." + key) most.insert(known, *all.find(known));
    }
    EXPECT_THAT(error_of(most), HasSubstr("tokenizer.ggml." + key));
  }
  const GgufMetadata all = sentencepiece_vocabulary().metadata();
  GgufMetadata most;
  for (const std::string& known : all.keys()) {
    if (known != "tokenizer.ggml.scores") most.insert(known, *all.find(known));
  }
  EXPECT_THAT(error_of(most), HasSubstr("tokenizer.ggml.scores"));
}

TEST(Vocabulary, EmptyTextsAreTokensOfNothing) {
  auto tiny = byte_level_vocabulary();
  const TokenId first = tiny.add("");
  tiny.add("");
  tiny.add("", kControlType);
  tiny.add("", kUserType);
  const auto tokenizer = tiny.make();
  EXPECT_EQ(tokenizer->bytes_of(first), "");
  EXPECT_EQ(encode_ok(*tokenizer, "ab", SpecialTokens::kParse), (std::vector<TokenId>{'a', 'b'}));
}

// A vocabulary that lacks the tokens of some bytes can still write the others.
TEST(Vocabulary, AMissingByteIsNamedWhenItIsNeeded) {
  TinyVocabulary tiny;
  tiny.add("a");
  tiny.add("b");
  const auto tokenizer = tiny.make();
  EXPECT_EQ(encode_ok(*tokenizer, "ab"), (std::vector<TokenId>{0, 1}));
  const auto refused = tokenizer->encode("abc", SpecialTokens::kAsText);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("0x63"));
}

TEST(Vocabulary, TheUnknownTokenStandsInButNeverAControlToken) {
  TinyVocabulary tiny;
  tiny.add("a");
  tiny.add("[UNK]", kUnknownType);
  tiny.set("unknown_token_id", uint64_t{1});
  EXPECT_EQ(encode_ok(*tiny.make(), "ac"), (std::vector<TokenId>{0, 1}));
  tiny.types[1] = kControlType;  // as in gpt-neox, whose unknown token is <|endoftext|>
  EXPECT_FALSE(tiny.make()->encode("ac", SpecialTokens::kAsText).ok());

  TinyVocabulary pieces;
  pieces.model = "llama";
  pieces.add("<unk>", kUnknownType);
  pieces.add("a");
  EXPECT_EQ(encode_ok(*pieces.make(), "a\xE2\x82\xAC"), (std::vector<TokenId>{0, 1, 0}));
  pieces.types[0] = kControlType;
  const auto refused = pieces.make()->encode("a", SpecialTokens::kAsText);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("\" \""));
}

}  // namespace
}  // namespace potluck
