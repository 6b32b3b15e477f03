// Finding masks in pieces: the same masks, and no piece beyond its bound. Counted in work, not in
// time.
#include "engine/grammar/mask_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/grammar/constraint.h"
#include "tests/unit/engine/grammar/grammar_support.h"
#include "tests/unit/engine/grammar/listed_tokenizer.h"

namespace potluck {
namespace {

using test::ListedTokenizer;
using testing::HasSubstr;

std::shared_ptr<const Grammar> drawn(std::string_view text) {
  auto grammar = test::gbnf_grammar(text);
  CHECK(grammar.ok());
  return std::make_shared<const Grammar>(std::move(*grammar));
}

// Rules that read the same letters, each by itself.
std::string many_ways(int rules) {
  std::string root = "root ::= (";
  std::string others;
  for (int i = 0; i < rules; ++i) {
    root += (i == 0 ? "" : " | ") + ("r" + std::to_string(i));
    others += "\nr" + std::to_string(i) + " ::= [a-z]{1," + std::to_string(50 + i) + "} [0-9]";
  }
  return root + ") \".\"" + others;
}

class MaskSearchTest : public testing::Test {
 protected:
  std::shared_ptr<TokenMasks> masks(std::shared_ptr<const Grammar> grammar) const {
    return std::make_shared<TokenMasks>(std::move(grammar), trie_);
  }
  // In pieces of this size.
  static Result<std::shared_ptr<const TokenMask>> in_pieces(Constraint& constraint, uint64_t size,
                                                            uint64_t* pieces) {
    for (; !constraint.is_prepared(); ++*pieces) {
      EXPECT_LE(constraint.prepare(size), size + limits::kByteWork);
    }
    return constraint.allowed();
  }

  ListedTokenizer tokenizer_{
      {"ab", "abc", "abcde", "xyz", "a1", "abc1", "abc1.", "{\"", "\": ", "true", ", \"", "\"}"}};
  TokenTrie trie_{tokenizer_, {}};
};

TEST_F(MaskSearchTest, PiecesFindWhatIsFoundAtOnce) {
  auto schema = test::schema_grammar(
      R"({"type": "object", "properties": {"ab": {"type": "string", "maxLength": 9}, "x": {}}})");
  ASSERT_TRUE(schema.ok());
  const auto schema_grammar = std::make_shared<const Grammar>(std::move(*schema));
  const std::pair<std::shared_ptr<const Grammar>, std::vector<std::string>> cases[] = {
      {drawn(many_ways(30)), {"ab", "abcde", "a1", "."}},
      {schema_grammar, {"{\"", "ab", "\": ", "\"", "abc", ", \""}}};
  for (const auto& [grammar, texts] : cases) {
    for (uint64_t size : {1u, 40u, 1000u, 100'000u}) {
      SCOPED_TRACE(size);
      uint64_t pieces = 0;
      Constraint whole(masks(grammar), 0);
      Constraint pieced(masks(grammar), 0);
      for (const std::string& text : texts) {
        auto expected = whole.allowed();
        auto found = in_pieces(pieced, size, &pieces);
        ASSERT_EQ(found.ok(), expected.ok());
        if (!found) break;
        EXPECT_EQ((*found)->words(), (*expected)->words()) << text;
        const TokenId token = tokenizer_.longest_at(text, 0);
        ASSERT_EQ(whole.accept(token).ok(), pieced.accept(token).ok());
      }
      if (size <= 1000) {
        EXPECT_GT(pieces, texts.size());
      }
    }
  }
}

// Both look for the same at the same time; what the one has found first, the other one keeps to.
TEST_F(MaskSearchTest, SearchesOfOneGrammarTakeTurns) {
  auto shared = masks(drawn(many_ways(30)));
  Constraint first(shared, 0);
  Constraint second(shared, 0);
  ASSERT_TRUE(second.accept(tokenizer_.longest_at("ab", 0)));
  CounterRandom random(1);
  for (uint64_t i = 0; !first.is_prepared() || !second.is_prepared(); ++i) {
    Constraint& one = random.bits(i) % 2 == 0 ? first : second;
    if (!one.is_prepared()) (void)one.prepare(1 + random.bits(i, 1) % 3000);
  }
  Constraint alone(masks(drawn(many_ways(30))), 0);
  EXPECT_EQ((*first.allowed())->words(), (*alone.allowed())->words());
  ASSERT_TRUE(alone.accept(tokenizer_.longest_at("ab", 0)));
  EXPECT_EQ((*second.allowed())->words(), (*alone.allowed())->words());
}

// What one byte may lead to cannot be left in the middle, so it is bounded by itself.
TEST_F(MaskSearchTest, TooMuchForOneByteFails) {
  std::string text = "root ::= r";
  for (int i = 0; i < 17'000; ++i) text += "|r";
  Constraint constraint(masks(drawn(text + "\nr ::= \"ab\"")), 0);
  EXPECT_LE(constraint.prepare(1), limits::kByteWork + 1000);
  ASSERT_TRUE(constraint.is_prepared());
  EXPECT_THAT(constraint.allowed().error().message, HasSubstr("too many ways"));
}

// Three times as many ways with each letter.
TEST_F(MaskSearchTest, AcceptingATokenIsBounded) {
  Constraint constraint(
      masks(drawn("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\" root \"d\" | \"x\"")), 0);
  const TokenId letter = tokenizer_.longest_at("a", 0);
  Status accepted;
  for (int i = 0; i < 300 && accepted.ok(); ++i) {
    const uint64_t before = constraint.accept_work();
    accepted = constraint.accept(letter);
    EXPECT_LE(constraint.accept_work() - before, limits::kTokenWork + limits::kByteWork);
  }
  ASSERT_FALSE(accepted.ok());
  EXPECT_THAT(accepted.error().message, HasSubstr("too many ways"));
}

// A thousand alternatives, each a rule of its own.
TEST_F(MaskSearchTest, AThousandAlternativesAreRead) {
  std::string text = "root ::= \"[\" (x0";
  std::string rules;
  for (int i = 0; i < 1000; ++i) {
    if (i > 0) text += "|x" + std::to_string(i);
    rules += "\nx" + std::to_string(i) + " ::= \"" + std::to_string(10'000 + i) + "\"";
  }
  Constraint constraint(masks(drawn(text + ") \"]\"" + rules)), 0);
  for (const char letter : std::string("[10345]")) {
    ASSERT_TRUE(constraint.allowed().ok()) << letter;
    ASSERT_TRUE(constraint.accept(tokenizer_.longest_at(std::string(1, letter), 0)).ok()) << letter;
  }
  EXPECT_TRUE(constraint.is_complete());
}

}  // namespace
}  // namespace potluck
