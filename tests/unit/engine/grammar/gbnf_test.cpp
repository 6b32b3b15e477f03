// GBNF: what texts grammars allow, and what is wrong with others.
#include "engine/grammar/gbnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/grammar/grammar_support.h"

namespace potluck {
namespace {

using test::gbnf_error;
using testing::HasSubstr;

struct GbnfCase {
  const char* grammar;
  std::vector<std::string> allowed;
  std::vector<std::string> begun;
  std::vector<std::string> refused;
};

TEST(Gbnf, AllowsWhatItSays) {
  const GbnfCase cases[] = {
      {R"(root ::= "yes" | "no")", {"yes", "no"}, {"", "ye", "n"}, {"x", "yesno", "Yes"}},
      {"root ::= [a-c]+ # letters\n", {"a", "abcabc"}, {""}, {"d", "a "}},
      {"root ::= [^a-c\\n]*", {"", "xyz", "ä€😀"}, {}, {"a", "\n"}},
      {"root ::= (\"a\" | \"b\"\n  \"c\")? \"d\"", {"d", "ad", "bcd"}, {"b", "bc"}, {"bd"}},
      {"root ::= \"a\"{2} \"b\"{1,3} \"c\"{2,} \"d\"{,1}",
       {"aabcc", "aabbbccccd"},
       {"aab", "aabc"},
       {"ab", "aabbbb", "aabccdd"}},
      {"root ::= \"a\"{12}",
       {std::string(12, 'a')},
       {std::string(11, 'a')},
       {std::string(13, 'a')}},
      {"root ::= (\"a\"{10,20} \",\"){9,11}", {}, {std::string(10, 'a') + ","}, {"aaaaa,"}},
      {"root ::= expr\nexpr ::= term (\"+\" term)*\nterm ::= [0-9] | \"(\" expr \")\"",
       {"1+(2+3)", "((1))"},
       {"(", "1+"},
       {")", "1+)"}},
      {"root ::= \"\\u00e4\\x41\\U0001F600\\t\\\"\"", {"äA😀\t\""}, {"äA"}, {"aA"}},
      {"root ::= \"a\"\n  | \"b\"\nother ::= \"c\"", {"a", "b"}, {}, {"c"}},
      {"root ::= .", {"ä", "\n"}, {"\xC3"}, {"ab", "\xFF", "\xC0"}},
      {"root ::= x? y\nx ::= \"\" | \"x\"\ny ::= (\"y\" | x)*", {"", "xyx", "yy"}, {}, {"z"}},
  };
  for (const GbnfCase& one : cases) {
    auto grammar = test::gbnf_grammar(one.grammar);
    ASSERT_TRUE(grammar) << one.grammar << ": " << grammar.error().message;
    for (const auto& text : one.allowed) EXPECT_EQ(test::reading(*grammar, text), "yes") << text;
    for (const auto& text : one.begun) EXPECT_EQ(test::reading(*grammar, text), "more") << text;
    for (const auto& text : one.refused) EXPECT_EQ(test::reading(*grammar, text), "no") << text;
  }
}

TEST(Gbnf, ErrorsSayWhere) {
  EXPECT_THAT(gbnf_error("root ::= \"a"), HasSubstr("line 1, column 12: expected '\"'"));
  EXPECT_THAT(gbnf_error("root ::= a"), HasSubstr("'a' is used, but not defined"));
  EXPECT_THAT(gbnf_error("a ::= \"a\""), HasSubstr("no rule 'root'"));
  EXPECT_THAT(gbnf_error("root ::= \"a\"\nroot ::= \"b\""), HasSubstr("line 2"));
  EXPECT_THAT(gbnf_error("root = \"a\""), HasSubstr("column 6: expected '::='"));
  EXPECT_THAT(gbnf_error("root ::= *"), HasSubstr("something to repeat"));
  EXPECT_THAT(gbnf_error("root ::= [b-a]"), HasSubstr("ends before it begins"));
  EXPECT_THAT(gbnf_error("root ::= \"\\q\""), HasSubstr("behind '\\'"));
  EXPECT_THAT(gbnf_error("root ::= \"\\uD800\""), HasSubstr("no character"));
  EXPECT_THAT(gbnf_error("root ::= (\"a\""), HasSubstr("expected ')'"));
  EXPECT_THAT(gbnf_error("root ::= \"a\"{3,2}"), HasSubstr("more at least"));
  EXPECT_THAT(gbnf_error("root ::= \"a\"{2000000}"), HasSubstr("at most 1000000"));
}

TEST(Gbnf, WhatCannotBeReadIsRefused) {
  EXPECT_THAT(gbnf_error("root ::= root \"a\" | \"a\""), HasSubstr("begins with itself"));
  EXPECT_THAT(gbnf_error("root ::= x root\nx ::= \"x\"?"), HasSubstr("begins with itself"));
  EXPECT_THAT(gbnf_error("root ::= \"a\" root"), HasSubstr("no text that ends"));
  EXPECT_THAT(gbnf_error("root ::= x{20}\nx ::= \"x\"?"), HasSubstr("may be empty"));
  // What has no end is never begun.
  auto grammar = test::gbnf_grammar("root ::= \"a\" | \"b\" x\nx ::= \"c\" x");
  ASSERT_TRUE(grammar);
  EXPECT_EQ(test::reading(*grammar, "b"), "no");
}

TEST(Gbnf, IsBounded) {
  std::string nested = "root ::= ";
  for (int i = 0; i < 100; ++i) nested += "(";
  EXPECT_THAT(gbnf_error(nested), HasSubstr("groups within groups"));
  std::string repeated = "root ::= \"a\"";
  for (int i = 0; i < 12; ++i) repeated = "root ::= (" + repeated.substr(9) + "){8}";
  EXPECT_THAT(gbnf_error(repeated), HasSubstr("too large"));
  EXPECT_THAT(gbnf_error(std::string(300'000, ' ')), HasSubstr("at most 262144 bytes"));
  EXPECT_THAT(gbnf_error("root ::= \"\xFF\""), HasSubstr("UTF-8"));
}

// Deep texts end at a bound; on the way there, whatever is allowed can be finished.
TEST(Gbnf, DepthIsBoundedWithoutDeadEnds) {
  auto grammar = test::gbnf_grammar("root ::= \"(\" root \")\" | \"x\" y\ny ::= [0-9]");
  ASSERT_TRUE(grammar);
  std::string text;
  while (test::reading(*grammar, text + "(") != "no") text += "(";
  EXPECT_GT(text.size(), 200u);
  EXPECT_LT(text.size(), 300u);
  const std::string end = "x1" + std::string(text.size(), ')');
  EXPECT_EQ(test::reading(*grammar, text + end), "yes");
  // A rule that ends with another one does not nest.
  auto list = test::gbnf_grammar("root ::= \"a\" | \"a,\" root");
  ASSERT_TRUE(list);
  std::string long_list;
  for (int i = 0; i < 1000; ++i) long_list += "a,";
  EXPECT_EQ(test::reading(*list, long_list + "a"), "yes");
}

}  // namespace
}  // namespace potluck
