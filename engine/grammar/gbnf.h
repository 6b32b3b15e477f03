// GBNF, the notation in which llama.cpp's users write grammars: `name ::= ..`, with "text",
// [classes], (groups), alternatives, * + ? {m,n}, and # comments. The rule `root` is the whole
// text. Pure.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/grammar/grammar_builder.h"

namespace potluck {

// Draws all rules of the text, and returns the one called `root`. Errors name line and column.
Result<GrammarBuilder::Rule> draw_gbnf(std::string_view text, GrammarBuilder* builder);

}  // namespace potluck
