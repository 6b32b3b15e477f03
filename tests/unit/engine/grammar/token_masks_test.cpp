// Which tokens a state allows: by the tree of tokens, and by trying each of them.
#include "engine/grammar/token_masks.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/grammar/constraint.h"
#include "tests/support/test_files.h"
#include "tests/unit/engine/grammar/grammar_support.h"
#include "tests/unit/engine/grammar/listed_tokenizer.h"

namespace potluck {
namespace {

using test::ListedTokenizer;

std::shared_ptr<const Grammar> shared(Result<Grammar> grammar) {
  CHECK(grammar.ok());
  return std::make_shared<const Grammar>(std::move(*grammar));
}

// What Constraint::accept() takes, token by token.
std::vector<TokenId> tried(const Constraint& constraint, const TokenTrie& trie) {
  std::vector<TokenId> allowed;
  for (TokenId token = 0; static_cast<uint32_t>(token) < trie.vocabulary_size(); ++token) {
    Constraint copy = constraint;
    if (copy.accept(token)) allowed.push_back(token);
  }
  return allowed;
}

std::vector<TokenId> masked(const Constraint& constraint, const TokenTrie& trie) {
  auto mask = constraint.allowed();
  CHECK(mask.ok());
  std::vector<TokenId> allowed;
  for (TokenId token = 0; static_cast<uint32_t>(token) < trie.vocabulary_size(); ++token) {
    if ((*mask)->allows(token)) allowed.push_back(token);
  }
  return allowed;
}

// At each place of a text, read by its longest tokens.
void compare_along(const std::string& text, std::shared_ptr<const Grammar> grammar,
                   const ListedTokenizer& tokenizer) {
  TokenTrie trie(tokenizer, {});
  auto masks = std::make_shared<TokenMasks>(std::move(grammar), trie);
  Constraint constraint(masks, 0);
  for (size_t at = 0; at < text.size();) {
    std::vector<TokenId> expected = tried(constraint, trie);
    if (constraint.is_complete()) expected.push_back(tokenizer.end());
    std::ranges::sort(expected);
    EXPECT_EQ(masked(constraint, trie), expected) << text.substr(0, at);
    const TokenId token = tokenizer.longest_at(text, at);
    ASSERT_TRUE(constraint.accept(token)) << text.substr(0, at);
    at += tokenizer.bytes_of(token).size();
  }
  EXPECT_TRUE(constraint.is_complete());
}

const char* kSchema = R"({"type": "object", "properties": {"name": {"type": "string"},
    "id": {"type": "string", "maxLength": 12}, "sizes": {"type": "array", "items": {"type":
    "integer"}, "minItems": 2}, "more": {}}, "required": ["name"], "additionalProperties": false})";

TEST(TokenMasks, AreWhatTryingEachTokenFinds) {
  const ListedTokenizer tokenizer({"{\"",   "\": \"", "\", \"",   "\"}",  "name", "id",
                                   "[1",    "1, 2",   "]}",       "}}}",  "[[[",  "\"a\", ",
                                   "\\u00", "ab",     "abcdefgh", "\n  ", "ä",    "äö",
                                   "null",  ", ",     "more",     "sizes"});
  compare_along(R"({"name": "abcdefghä\u00e4", "id": "abcdefghabcd", "sizes": [1, 2, 34], "more": )"
                R"([[[{"a": [null]}]]]})",
                shared(test::schema_grammar(kSchema)), tokenizer);
  compare_along(R"({"name": "ab", "id": null})", shared(test::schema_grammar(R"({"anyOf": [
      {"properties": {"name": {"type": "string"}, "id": {"type": "null"}}, "required": ["name"]},
      {"properties": {"name": {"type": "string"}, "sizes": {"type": "array"}}},
      {"properties": {"name": {"type": "string", "maxLength": 3}, "more": {}}}]})")),
                tokenizer);
  compare_along("aaaabcc",
                shared(test::gbnf_grammar("root ::= \"a\"{2,12} (\"ab\" | \"b\")? [^d]*")),
                ListedTokenizer({"aa", "aaa", "aaaa", "aab", "bcc", "bcd", "ab"}));
}

TEST(TokenMasks, ControlTokensAreNeverText) {
  ListedTokenizer tokenizer({"a"});
  const TokenId mark = tokenizer.add_control("<mark>");
  const TokenId other = tokenizer.add_control("<other>");
  const std::string marks[] = {"<mark>"};
  TokenTrie trie(tokenizer, marks);
  auto masks = std::make_shared<TokenMasks>(shared(test::gbnf_grammar("root ::= .*")), trie);
  auto mask = Constraint(masks, 0).allowed();
  ASSERT_TRUE(mask);
  EXPECT_FALSE((*mask)->allows(mark));
  EXPECT_FALSE((*mask)->allows(other));
  EXPECT_TRUE((*mask)->allows(tokenizer.end()));
}

TEST(TokenMasks, OfAVocabularyThatLacksATokenThereIsAnError) {
  ListedTokenizer tokenizer({"a"}, false);
  TokenTrie trie(tokenizer, {});
  auto masks = std::make_shared<TokenMasks>(shared(test::gbnf_grammar("root ::= \"ab\"")), trie);
  Constraint constraint(masks, 0);
  ASSERT_TRUE(constraint.accept(0));
  EXPECT_FALSE(constraint.allowed());
}

TEST(TokenMasks, TheFirstTokenMayLoseASpace) {
  ListedTokenizer tokenizer({" ab", "ab", " ", "  ab"});
  tokenizer.strip_leading_space();
  TokenTrie trie(tokenizer, {});
  auto masks = std::make_shared<TokenMasks>(shared(test::gbnf_grammar("root ::= \"abab\"")), trie);
  Constraint constraint(masks, 0);
  auto mask = constraint.allowed();
  ASSERT_TRUE(mask);
  EXPECT_TRUE((*mask)->allows(0));
  EXPECT_TRUE((*mask)->allows(1));
  EXPECT_FALSE((*mask)->allows(2));
  EXPECT_FALSE((*mask)->allows(3));
  ASSERT_TRUE(constraint.accept(0));
  EXPECT_FALSE(constraint.accept(0)) << "behind the first token a space is a space";
  ASSERT_TRUE(constraint.accept(1));
  EXPECT_TRUE(constraint.is_final());
}

TEST(TokenMasks, StayWithinTheirMemory) {
  const ListedTokenizer tokenizer({"ab", "abc"});
  TokenTrie trie(tokenizer, {});
  auto masks = std::make_shared<TokenMasks>(
      shared(test::gbnf_grammar("root ::= [a-z]{1,100000} \"!\"")), trie);
  Constraint constraint(masks, 0);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(constraint.allowed());
    ASSERT_TRUE(constraint.accept(2 + 'x'));
  }
  EXPECT_LE(masks->bytes(), limits::kMaskBytes);
}

}  // namespace
}  // namespace potluck
