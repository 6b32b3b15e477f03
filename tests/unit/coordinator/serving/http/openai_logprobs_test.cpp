#include "coordinator/serving/http/openai_logprobs.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(TokenTexts, TextsAddUpToTheAnswer) {
  TokenTexts texts;
  EXPECT_EQ(texts.next("a"), "a");
  EXPECT_EQ(texts.next("\xF0\x9F"), "");
  EXPECT_EQ(texts.next("\x98"), "");
  EXPECT_EQ(texts.next("\x80"
                       "b"),
            "\xF0\x9F\x98\x80"
            "b");
}

TEST(TokenTexts, BytesThatAreNoCharactersAreReplaced) {
  TokenTexts texts;
  EXPECT_EQ(texts.next("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(texts.next("\xE2"), "");
  EXPECT_EQ(texts.next("x"),
            "\xEF\xBF\xBD"
            "x");
}

}  // namespace
}  // namespace potluck
