// TaggedGrammar: arguments of a call that stand one by one between marks, drawn into a grammar.
// Internal to the drawing of calls (call_grammar.h).
#pragma once

#include <optional>

#include "engine/base/result.h"
#include "engine/chat/call_syntax.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/json_schema.h"

namespace potluck {

// Rules that the functions share, once one of them has drawn them.
struct TaggedRules {
  std::optional<GrammarBuilder::Rule> text;  // any
};

// From `from` on; returns where they end. Properties come in the order of the schema. Schemas with
// alternatives for the arguments as a whole are errors.
Result<GrammarBuilder::Node> draw_tagged_arguments(const JsonValue& schema,
                                                   const ToolCallSyntax& syntax,
                                                   GrammarBuilder::Node from, TaggedRules* tagged,
                                                   JsonRules* rules, GrammarBuilder* builder);

}  // namespace potluck
