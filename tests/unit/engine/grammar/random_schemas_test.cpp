// Random schemas, random choices among the tokens that are allowed: every answer is JSON that the
// schema allows, as an independent validator reads it.
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/grammar/constraint.h"
#include "tests/unit/engine/grammar/grammar_support.h"
#include "tests/unit/engine/grammar/listed_tokenizer.h"
#include "tests/unit/engine/grammar/schema_validator.h"

namespace potluck {
namespace {

using test::Json;

class Chooser {
 public:
  explicit Chooser(uint64_t seed) : random_(seed) {}
  size_t below(size_t bound) { return random_.bits(next_++) % bound; }
  bool chance(size_t percent) { return below(100) < percent; }

 private:
  CounterRandom random_;
  uint64_t next_ = 0;
};

class SchemaMaker {
 public:
  explicit SchemaMaker(Chooser* chooser) : chooser_(*chooser) {}

  Json make() {
    Json root = schema(0);
    root["$defs"] = {{"node",
                      {{"type", "object"},
                       {"properties",
                        {{"v", schema(3)},
                         {"next", {{"anyOf", {{{"type", "null"}}, {{"$ref", "#/$defs/node"}}}}}}}},
                       {"required", {"v", "next"}},
                       {"additionalProperties", false}}}};
    return root;
  }

 private:
  Json schema(int depth) {
    switch (chooser_.below(depth < 3 ? 12 : 6)) {
      case 0:
        return {{"type", chooser_.chance(50) ? "boolean" : "null"}};
      case 1:
        return whole();
      case 2:
        return number();
      case 3:
        return string();
      case 4:
        return {{"enum", {"x", "xy", 3, nullptr, true, "a\"b\\", 2.5, Json::array({1, "z"})}}};
      case 5:
        return {{"const", chooser_.chance(50) ? Json("only") : Json(7)}};
      case 6:
      case 7:
        return object(depth);
      case 8:
        return array(depth);
      case 9:
        return {{"anyOf", {schema(depth + 1), schema(depth + 1)}}};
      case 10:
        return combined(depth);
      default:
        return {{"$ref", "#/$defs/node"}};
    }
  }

  Json whole() {
    Json made{{"type", "integer"}};
    const auto low = static_cast<int64_t>(chooser_.below(2000)) - 1000;
    if (chooser_.chance(50)) made[chooser_.chance(50) ? "minimum" : "exclusiveMinimum"] = low;
    if (chooser_.chance(50)) {
      const auto high = low + 2 + static_cast<int64_t>(chooser_.below(5000));
      made[chooser_.chance(50) ? "maximum" : "exclusiveMaximum"] = high;
    }
    return made;
  }

  Json number() {
    Json made = whole();
    made["type"] = "number";
    return made;
  }

  Json string() {
    Json made{{"type", "string"}};
    const char* patterns[] = {"^[a-c]{2,5}$", "x+", "^(ab|cd)*[0-9]?$", "^\\d{3}-\\w{1,4}$", "z$"};
    if (chooser_.chance(40)) made["pattern"] = patterns[chooser_.below(std::size(patterns))];
    const bool is_wide = !made.contains("pattern") || made["pattern"] == "x+";
    if (chooser_.chance(30) && is_wide) made["minLength"] = chooser_.below(5);
    if (chooser_.chance(30) && is_wide) made["maxLength"] = 5 + chooser_.below(30);
    return made;
  }

  Json object(int depth) {
    Json made{{"type", "object"}};
    Json required = Json::array();
    const size_t count = chooser_.below(5);
    for (size_t i = 0; i < count; ++i) {
      const std::string name = std::string(1, static_cast<char>('a' + i)) + (i == 2 ? "\"" : "");
      made["properties"][name] = schema(depth + 1);
      if (chooser_.chance(50)) required.push_back(name);
    }
    if (chooser_.chance(10)) required.push_back("other");
    made["required"] = required;
    const bool is_open = !required.empty() && required.back() == "other";
    if (is_open || chooser_.chance(30)) {
      made["additionalProperties"] = chooser_.chance(50) ? Json(true) : schema(depth + 2);
    } else if (chooser_.chance(50)) {
      made["additionalProperties"] = false;
    }
    return made;
  }

  Json array(int depth) {
    Json made{{"type", "array"}};
    if (chooser_.chance(80)) made["items"] = schema(depth + 1);
    if (chooser_.chance(30)) made["prefixItems"] = {schema(depth + 1), schema(depth + 1)};
    const size_t least = chooser_.below(4);
    if (chooser_.chance(40)) made["minItems"] = least;
    if (chooser_.chance(40)) made["maxItems"] = least + chooser_.below(12);
    return made;
  }

  // Schemas that hold at the same time, and one of several.
  Json combined(int depth) {
    Json first = object(depth + 1);
    Json second{{"properties", {{"a", true}, {"q", whole()}}},
                {"required", {"q"}},
                {"additionalProperties", true}};
    first["additionalProperties"] = true;
    if (chooser_.chance(50)) return {{"allOf", {first, second}}};
    const auto tagged = [&](const char* tag) {
      return Json{{"type", "object"},
                  {"properties", {{"tag", {{"const", tag}}}, {"w", schema(3)}}},
                  {"required", {"tag"}},
                  {"additionalProperties", false}};
    };
    return {{"oneOf", {tagged("one"), tagged("two"), whole()}}};
  }

  Chooser& chooser_;
};

// Ends what can be ended more and more often, so that answers do end.
TokenId choose(const TokenMask& mask, const test::ListedTokenizer& tokenizer, size_t written,
               Chooser* chooser) {
  if (mask.allows(tokenizer.end()) && chooser->chance(50)) return tokenizer.end();
  const size_t hurry = std::min<size_t>(95, 10 + written);
  if (chooser->chance(hurry)) {
    for (const char close : {'"', '}', ']', 'x', '0', 'n', '1'}) {
      const TokenId token = tokenizer.longest_at(std::string(1, close), 0);
      if (mask.allows(token)) return token;
    }
  }
  size_t chosen = chooser->below(mask.count());
  for (TokenId token = 0;; ++token) {
    if (mask.allows(token) && chosen-- == 0) return token;
  }
}

std::string write_answer(const std::shared_ptr<TokenMasks>& masks,
                         const test::ListedTokenizer& tokenizer, Chooser* chooser) {
  constexpr size_t kMostTokens = 3000;
  Constraint constraint(masks, 0);
  std::string text;
  for (size_t written = 0; written < kMostTokens && !constraint.is_final(); ++written) {
    auto mask = constraint.allowed();
    EXPECT_TRUE(mask) << text;
    if (!mask) return {};
    const TokenId token = choose(**mask, tokenizer, written, chooser);
    if (token == tokenizer.end()) return text;
    EXPECT_TRUE(constraint.accept(token)) << text;
    text += tokenizer.bytes_of(token);
  }
  return constraint.is_complete() ? text : std::string();
}

TEST(RandomSchemas, EveryAnswerIsValid) {
  const test::ListedTokenizer tokenizer({"{\"",  "\": ", "\", \"", "\"}",   "\": \"", "[[",
                                         "]]",   "}}",   "null",   "true",  "xx",     "ab",
                                         "12",   "0.5",  "\\n",    "\\u00", "ä",      ", ",
                                         "\n  ", "next", "\"v\"",  "-1",    "e+"});
  const TokenTrie trie(tokenizer, {});
  size_t finished = 0;
  size_t answers = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Chooser chooser(seed);
    const Json schema = SchemaMaker(&chooser).make();
    const auto parsed = parse_json(schema.dump());
    ASSERT_TRUE(parsed);
    auto grammar = test::schema_grammar(*parsed);
    // Some have no values at all; nothing else may be wrong with them.
    if (!grammar) {
      ASSERT_NE(grammar.error().message.find("no text"), std::string::npos)
          << seed << ": " << schema.dump() << ": " << grammar.error().message;
      continue;
    }
    auto masks =
        std::make_shared<TokenMasks>(std::make_shared<const Grammar>(std::move(*grammar)), trie);
    for (int i = 0; i < 3; ++i) {
      ++answers;
      const std::string text = write_answer(masks, tokenizer, &chooser);
      if (text.empty()) continue;
      ++finished;
      const Json value = Json::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << seed << ": " << text;
      ASSERT_TRUE(test::is_valid(schema, value, schema)) << seed << ": " << schema.dump() << "\n"
                                                         << text;
    }
  }
  EXPECT_GT(answers, 2700u);
  EXPECT_GT(finished * 100, answers * 95);
}

}  // namespace
}  // namespace potluck
