// Vocabularies of wrong or careless conversions: what can do no harm becomes a note, and markers
// are markers regardless of type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> notes_of(const TinyVocabulary& tiny) {
  const auto tokenizer = tiny.make();
  return {tokenizer->notes().begin(), tokenizer->notes().end()};
}

std::vector<TokenId> special(const Tokenizer& tokenizer, std::string_view text) {
  return encode_ok(tokenizer, text, SpecialTokens::kParse);
}

// --- Harmless metadata -----------------------------------------------------------------------

TEST(OddVocabulary, AGoodOneHasNoNotes) {
  EXPECT_THAT(notes_of(byte_level_vocabulary()), IsEmpty());
  EXPECT_THAT(notes_of(sentencepiece_vocabulary()), IsEmpty());
}

TEST(OddVocabulary, OfTwoTokensOfOneTextTheFirstIsTaken) {
  auto tiny = byte_level_vocabulary();
  const TokenId again = tiny.add("the");
  tiny.add("<|im_end|>", kControlType);
  const auto tokenizer = tiny.make();
  EXPECT_THAT(encode_ok(*tokenizer, "the"), ElementsAre(261));
  EXPECT_THAT(special(*tokenizer, "<|im_end|>"), ElementsAre(258));
  EXPECT_EQ(tokenizer->bytes_of(again), "the");
  EXPECT_TRUE(tokenizer->is_end(again + 1));
  EXPECT_THAT(notes_of(tiny), ElementsAre(AllOf(HasSubstr("2 token(s)"), HasSubstr("\"the\""))));
}

TEST(OddVocabulary, AMarkerThatIsTypedRightlyWinsOverOneThatIsNot) {
  TinyVocabulary tiny;
  const TokenId text = tiny.add("<|im_end|>");
  const TokenId control = tiny.add("<|im_end|>", kControlType);
  for (int byte = 0; byte < 256; ++byte) tiny.add(alphabet_of(static_cast<uint8_t>(byte)));
  const auto tokenizer = tiny.make();
  EXPECT_THAT(special(*tokenizer, "<|im_end|>"), ElementsAre(control));
  EXPECT_TRUE(tokenizer->is_end(text));
  EXPECT_TRUE(tokenizer->is_end(control));
}

TEST(OddVocabulary, TheFirstTokenOfAByteIsTaken) {
  auto tiny = sentencepiece_vocabulary();
  tiny.add("<0x0a>", kByteType);
  EXPECT_THAT(encode_ok(*tiny.make(), "\n").back(), 3 + '\n');
}

TEST(OddVocabulary, RolesThatCannotBeAreLeftOut) {
  const std::vector<MetadataValue> unusable{uint64_t{0xFFFFFFFF},
                                            uint64_t{1} << 32,
                                            int64_t{-1},
                                            std::string("1"),
                                            1.5,
                                            MetadataArray(),
                                            std::numeric_limits<double>::quiet_NaN()};
  for (const MetadataValue& value : unusable) {
    for (const std::string key :
         {"bos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id"}) {
      auto tiny = byte_level_vocabulary();
      tiny.set(key, value);
      EXPECT_THAT(notes_of(tiny), ElementsAre(AllOf(HasSubstr(key), HasSubstr("left out"))));
      EXPECT_TRUE(tiny.make()->is_end(258));
    }
    auto pieces = sentencepiece_vocabulary();
    pieces.set("eos_token_id", value);
    pieces.set("bos_token_id", value);
    EXPECT_EQ(notes_of(pieces).size(), 2U);
    EXPECT_TRUE(pieces.make()->is_end(2));  // as is customary
    EXPECT_THAT(pieces.make()->prompt_prefix(), ElementsAre(1));
  }
}

TEST(OddVocabulary, MergesOfWhatIsNoTokenAreLeftOut) {
  for (const char* merge : {"zz z", "z z", "\xE2\x96\x81 t", "\xFF\xFE t"}) {
    auto tiny = byte_level_vocabulary();
    tiny.merges.insert(tiny.merges.begin(), merge);
    EXPECT_THAT(notes_of(tiny), ElementsAre(AllOf(HasSubstr("1 of 10 entries"),
                                                  HasSubstr("entry 0"), HasSubstr("left out"))));
    EXPECT_THAT(encode_ok(*tiny.make(), " the zz"), ElementsAre(262, ' ', 'z', 'z'));
  }
}

TEST(OddVocabulary, MergesOfAnotherVocabularyAreRefused) {
  auto tiny = byte_level_vocabulary();
  tiny.merges = {"zz z", "yy y"};
  const auto refused = make_tokenizer(tiny.metadata());
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("tokenizer.ggml.merges: 2 of 2 entries"));
}

TEST(OddVocabulary, FlagsMayBeNumbers) {
  auto tiny = byte_level_vocabulary();
  tiny.set("bos_token_id", uint64_t{256});
  tiny.set("add_bos_token", uint64_t{1});
  EXPECT_THAT(tiny.make()->prompt_prefix(), ElementsAre(256));
}

// --- Markers ---------------------------------------------------------------------------------

// Names of published families, in every type that a file may give them.
class Markers : public testing::TestWithParam<std::tuple<const char*, int64_t>> {};

TEST_P(Markers, AreMarkersWhateverTheirType) {
  const auto& [name, type] = GetParam();
  auto tiny = byte_level_vocabulary();
  const TokenId marker = tiny.add(name, type);
  const auto tokenizer = tiny.make();
  EXPECT_TRUE(tokenizer->is_control(marker));
  EXPECT_THAT(special(*tokenizer, std::string("a") + name + "b"), ElementsAre('a', marker, 'b'));
  for (TokenId token : encode_ok(*tokenizer, name)) EXPECT_FALSE(tokenizer->is_control(token));
  EXPECT_EQ(tokenizer->decode(encode_ok(*tokenizer, name)), name);
}

INSTANTIATE_TEST_SUITE_P(
    Names, Markers,
    testing::Combine(testing::Values("<|start_header_id|>", "<|eot_id|>", "<start_of_turn>",
                                     "<end_of_turn>", "<|user|>", "<|return|>", "<|call|>",
                                     "[INST]", "[/INST]", "<｜User｜>", "<｜end▁of▁sentence｜>",
                                     "[gMASK]", "]~b]", "[e~[", "<|channel|>"),
                     testing::Values(kNormalType, kControlType, kUnusedType)));

TEST(Markers, EndATurnWhateverTheirType) {
  for (const char* name :
       {"<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "</end_of_turn>", "<|end|>", "<|return|>",
        "<|call|>", "<|end_of_text|>", "<EOT>", "[EOS]", "[e~[", "<｜end▁of▁sentence｜>",
        "<|END_OF_TURN_TOKEN|>", "<|role_end|>", "<|im:end|>"}) {
    for (const int64_t type : {kNormalType, kControlType, kUserType, kUnusedType}) {
      auto tiny = byte_level_vocabulary();
      const TokenId marker = tiny.add(name, type);
      EXPECT_TRUE(tiny.make()->is_end(marker)) << name << " of type " << type;
    }
  }
  for (const char* name : {"[/INST]", "<|user|>", "<|im_start|>", "<|channel|>"}) {
    auto tiny = byte_level_vocabulary();
    const TokenId marker = tiny.add(name, kControlType);
    EXPECT_FALSE(tiny.make()->is_end(marker)) << name;
  }
}

TEST(Markers, GlmEndsItsTurnByBeginningAnother) {
  for (const int64_t type : {kNormalType, kControlType, kUserType}) {
    auto tiny = byte_level_vocabulary();
    const TokenId user = tiny.add("<|user|>", type);
    const TokenId observation = tiny.add("<|observation|>", type);
    const TokenId assistant = tiny.add("<|assistant|>", type);
    const auto tokenizer = tiny.make();
    EXPECT_TRUE(tokenizer->is_end(user));
    EXPECT_TRUE(tokenizer->is_end(observation));
    EXPECT_FALSE(tokenizer->is_end(assistant));
  }
}

TEST(Markers, OfHtmlCountOnlyWhereNothingElseEndsTheText) {
  auto tiny = byte_level_vocabulary();  // its text ends with <|endoftext|>
  const TokenId strike = tiny.add("</s>");
  EXPECT_FALSE(tiny.make()->is_end(strike));
  TinyVocabulary old = tiny;
  old.others.clear();
  EXPECT_TRUE(old.make()->is_end(strike));
}

TEST(Markers, MayBeSpelledInTheByteAlphabet) {
  for (const int64_t type : {kNormalType, kControlType, kUserType}) {
    auto tiny = byte_level_vocabulary();
    const std::string user = "<｜User｜>";
    const std::string end = "<｜end▁of▁sentence｜>";
    const TokenId user_token = tiny.add(alphabet_of(user), type);
    const TokenId end_token = tiny.add(alphabet_of(end), type);
    const auto tokenizer = tiny.make();
    EXPECT_THAT(special(*tokenizer, user + end), ElementsAre(user_token, end_token));
    EXPECT_TRUE(tokenizer->is_end(end_token));
    EXPECT_EQ(tokenizer->bytes_of(user_token), user);
    for (TokenId token : encode_ok(*tokenizer, user)) EXPECT_FALSE(tokenizer->is_control(token));
  }
}

TEST(Markers, OfOtherFormsAreFoundInTemplateTextAndShown) {
  auto tiny = byte_level_vocabulary();
  const TokenId call = tiny.add("<tool_call>");
  const auto tokenizer = tiny.make();
  EXPECT_THAT(special(*tokenizer, "a<tool_call>b"), ElementsAre('a', call, 'b'));
  EXPECT_EQ(encode_ok(*tokenizer, "<tool_call>").size(), 11U);
  EXPECT_FALSE(tokenizer->is_control(call));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{call}), "<tool_call>");
}

TEST(Markers, WhatMergesMakeIsTextThatWasLearned) {
  auto tiny = byte_level_vocabulary();
  tiny.merge("<", "b");
  tiny.merge("<b", ">");
  tiny.merge("<", "|");
  tiny.merge("<|", "x");
  tiny.merge("<|x", "|");
  tiny.merge("<|x|", ">");
  const auto tokenizer = tiny.make();
  const TokenId learned = static_cast<TokenId>(tokenizer->vocabulary_size()) - 1;
  EXPECT_EQ(tokenizer->bytes_of(learned), "<|x|>");
  EXPECT_FALSE(tokenizer->is_control(learned));
  EXPECT_EQ(encode_ok(*tokenizer, "<b>"), special(*tokenizer, "<b>"));
}

TEST(Markers, OfSentencePieceVocabulariesToo) {
  auto tiny = sentencepiece_vocabulary();
  const TokenId start = tiny.add("<|im_start|>");
  const TokenId end = tiny.add("<|im_end|>");
  const auto tokenizer = tiny.make();
  EXPECT_TRUE(tokenizer->is_end(end));
  EXPECT_THAT(special(*tokenizer, "<|im_start|><|im_end|>"), ElementsAre(start, end));
  for (TokenId token : encode_ok(*tokenizer, "<|im_end|>")) EXPECT_NE(token, end);
  tiny.types[1] = tiny.types[2] = kNormalType;
  EXPECT_TRUE(tiny.make()->is_end(2));
  EXPECT_THAT(tiny.make()->prompt_prefix(), ElementsAre(1));
}

TEST(Markers, TypedAsTextAreReportedWhereTheyMatter) {
  auto tiny = byte_level_vocabulary();
  tiny.types[257] = tiny.types[258] = kNormalType;
  EXPECT_THAT(notes_of(tiny), ElementsAre(AllOf(HasSubstr("converted wrongly"),
                                                HasSubstr("\"<|im_end|>\" as ordinary text"))));
  tiny.others.emplace_back("tokenizer.chat_template", std::string("{{ '<|im_start|>' }}"));
  EXPECT_THAT(notes_of(tiny),
              ElementsAre(HasSubstr("\"<|im_start|>\", \"<|im_end|>\" as ordinary text")));
  for (int i = 0; i < 30; ++i) tiny.add("<|eot_id|>" + std::to_string(i), kNormalType);
  for (int i = 0; i < 20; ++i) tiny.add("<|" + std::string(static_cast<size_t>(i) + 1, 'r') + "|>");
  EXPECT_THAT(notes_of(tiny), ElementsAre(HasSubstr("as ordinary text")));
}

}  // namespace
}  // namespace potluck
