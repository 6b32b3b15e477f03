#include "engine/base/utf8.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (uint32_t code_point = 0; code_point < 0x110000; ++code_point) {
    if (code_point >= 0xD800 && code_point < 0xE000) continue;
    const std::string expected = utf8_of(code_point);
    std::string written;
    append_utf8(code_point, &written);
    ASSERT_EQ(written, expected);
    ASSERT_EQ(decode_utf8(expected), code_point);
    ASSERT_EQ(utf8_length(expected[0]), expected.size());
    const Utf8Step step = first_utf8_step(expected + "x");
    ASSERT_EQ(step.kind, Utf8Kind::kCharacter);
    ASSERT_EQ(step.bytes, expected.size());
  }
}

TEST(Utf8, SurrogatesAndWhatLiesBeyondAreInvalid) {
  for (uint32_t code_point : {0xD800u, 0xDBFFu, 0xDC00u, 0xDFFFu, 0x110000u, 0x13FFFFu}) {
    EXPECT_EQ(find_invalid_utf8("ab" + utf8_of(code_point)), 2u) << std::hex << code_point;
  }
}

TEST(Utf8, NamesTheFirstInvalidByte) {
  EXPECT_EQ(find_invalid_utf8(""), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("plain text of more than eight bytes"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x99\x82"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("\x80"), 0u);
  EXPECT_EQ(find_invalid_utf8("0123456789\xFF"), 10u);
  EXPECT_EQ(find_invalid_utf8("\xC3\xA9\xC3"), 2u);   // cut short
  EXPECT_EQ(find_invalid_utf8("a\xC0\x80"), 1u);      // overlong zero
  EXPECT_EQ(find_invalid_utf8("a\xE0\x9F\xBF"), 1u);  // overlong
  EXPECT_EQ(find_invalid_utf8("a\xF0\x8F\xBF\xBF"), 1u);
  EXPECT_EQ(find_invalid_utf8("a\xE2\x82x"), 1u);
}

// The steps of `text` in one word: c for a character, u for unfinished, digits for the bytes of
// invalid parts.
std::string steps_of(std::string_view text) {
  std::string steps;
  while (!text.empty()) {
    const Utf8Step step = first_utf8_step(text);
    if (step.kind == Utf8Kind::kInvalid) steps += std::to_string(step.bytes);
    if (step.kind == Utf8Kind::kCharacter) steps += 'c';
    if (step.kind == Utf8Kind::kUnfinished) steps += 'u';
    text.remove_prefix(step.bytes);
  }
  return steps;
}

// The examples of the Unicode Standard, chapter 3, tables 3-8 to 3-11.
TEST(Utf8, InvalidPartsAreMaximalSubparts) {
  EXPECT_EQ(steps_of("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "11111111c");
  EXPECT_EQ(steps_of("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), "11111111c");
  EXPECT_EQ(steps_of("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "11111c11c");
  EXPECT_EQ(steps_of("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "2132c");
  EXPECT_EQ(steps_of("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"), "c321c1c11c");
}

TEST(Utf8, TheEndMayCutACharacter) {
  EXPECT_EQ(steps_of("\xF0"), "u");
  EXPECT_EQ(steps_of("\xF0\x9F\x99"), "u");
  EXPECT_EQ(steps_of("\xE0\x80"), "11");  // no longer possible: E0 asks for A0 to BF
}

TEST(Utf8, WholeCharactersAreTakenFromAStream) {
  std::string pending = "a\xC3\xA9\xFF\xE2\x82";
  EXPECT_EQ(take_characters(&pending), "a\xC3\xA9\xEF\xBF\xBD");
  EXPECT_EQ(pending, "\xE2\x82");
  EXPECT_EQ(take_characters(&pending), "");
  pending += "\xAC!";
  EXPECT_EQ(take_characters(&pending), "\xE2\x82\xAC!");
  EXPECT_EQ(pending, "");
}

}  // namespace
}  // namespace potluck
