#include "engine/tokenizer/special_tokens.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace potluck {
namespace {

// The text with each match as its token in brackets.
std::string marked(const SpecialTokenMatcher& matcher, std::string_view text) {
  std::string marked;
  size_t done = 0;
  while (const auto match = matcher.find(text, done)) {
    marked += text.substr(done, match->begin - done);
    marked += "[" + std::to_string(match->token) + "]";
    done = match->end;
  }
  return marked + std::string(text.substr(done));
}

TEST(SpecialTokenMatcher, LeftmostThenLongest) {
  SpecialTokenMatcher matcher;
  matcher.add("<|a|>", 1);
  matcher.add("<|a|><|b|>", 2);
  matcher.add("ab", 3);
  matcher.add("b<|", 4);
  matcher.add("abcd", 5);
  EXPECT_EQ(marked(matcher, ""), "");
  EXPECT_EQ(marked(matcher, "x<|a|>y"), "x[1]y");
  EXPECT_EQ(marked(matcher, "<|a|><|b|>"), "[2]");
  EXPECT_EQ(marked(matcher, "<|a|><|b|"), "[1]<|b|");
  EXPECT_EQ(marked(matcher, "ab<|a|>"), "[3][1]");  // leftmost wins over "b<|"
  EXPECT_EQ(marked(matcher, "abcabcd"), "[3]c[5]");
  EXPECT_EQ(marked(matcher, "<|<|a|>"), "<|[1]");
}

TEST(SpecialTokenMatcher, FindsNothingWithoutNames) {
  EXPECT_FALSE(SpecialTokenMatcher().find("<|a|>", 0));
}

TEST(SpecialTokenMatcher, NamesOfAnyBytes) {
  SpecialTokenMatcher matcher;
  matcher.add("\xEF\xBD\x9C", 1);
  matcher.add(std::string_view("\0x", 2), 2);
  matcher.add("   ", 3);
  EXPECT_EQ(marked(matcher, "a\xEF\xBD\x9C    b"), "a[1][3] b");
  EXPECT_EQ(marked(matcher, std::string_view("a\0x", 3)), "a[2]");
}

}  // namespace
}  // namespace potluck
