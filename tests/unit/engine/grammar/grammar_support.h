// What the tests of grammars share: building one, and asking it about texts. One thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/grammar_walk.h"
#include "engine/grammar/json_schema.h"
#include "engine/template/json.h"

namespace potluck::test {

inline Result<Grammar> gbnf_grammar(std::string_view text) {
  GrammarBuilder builder;
  auto root = draw_gbnf(text, &builder);
  if (!root) return root.error();
  return builder.finish({*root}, limits::kGrammarDepth);
}

inline Result<Grammar> schema_grammar(const JsonValue& schema, const std::string& avoided = {}) {
  GrammarBuilder builder;
  JsonRules rules;
  auto root = draw_json_schema(schema, {avoided, false}, &rules, &builder);
  if (!root) return root.error();
  return builder.finish({*root}, limits::kJsonGrammarDepth);
}

inline Result<Grammar> schema_grammar(std::string_view text) {
  auto schema = parse_json(text);
  CHECK(schema.ok());
  return schema_grammar(*schema);
}

// "yes": the text is whole; "more": it can still become one; "no".
inline std::string reading(const Grammar& grammar, std::string_view text) {
  GrammarWalk walk(grammar);
  GrammarWalk::State state = walk.at({grammar.entries[0], 0});
  for (const char byte : text) state = walk.step(state, static_cast<uint8_t>(byte));
  if (state == GrammarWalk::kDead) return "no";
  return walk.may_end(state) ? "yes" : "more";
}

inline std::string gbnf_error(std::string_view text) {
  auto grammar = gbnf_grammar(text);
  return grammar ? "none" : grammar.error().message;
}

inline std::string schema_error(std::string_view text) {
  auto grammar = schema_grammar(text);
  return grammar ? "none" : grammar.error().message;
}

}  // namespace potluck::test
