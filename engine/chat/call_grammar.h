// CallGrammar: calls in the syntax of a template, drawn into a grammar: what it allows is read as
// calls of these functions whose arguments their schemas allow. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/chat/call_syntax.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/template/json.h"

namespace potluck {

// Calls, and nothing else: from one to `most`, each of one of the functions.
struct CallForm {
  struct Function {
    std::string name;
    JsonValue parameters;  // a schema; null: any object
  };
  std::vector<Function> functions;
  uint32_t most = 1;
};

// Errors name the function whose schema cannot be met.
Result<GrammarBuilder::Rule> draw_calls(const CallForm& form, const ToolCallSyntax& syntax,
                                        GrammarBuilder* builder);
// In the Harmony format: a message to one of the functions; ends behind the arguments.
Result<GrammarBuilder::Rule> draw_channel_call(const CallForm& form, GrammarBuilder* builder);

// A mark as it is written: names in brackets as text, or as the control token of this name.
void draw_mark(std::string_view mark, GrammarBuilder::Node from, GrammarBuilder::Node to,
               GrammarBuilder* builder);
// White space that models write around marks; it belongs to no part of an answer.
GrammarBuilder::Rule draw_mark_space(GrammarBuilder* builder);

}  // namespace potluck
