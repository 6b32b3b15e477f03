// Regular expressions of JSON schemas ("pattern"): the part of ECMA 262 that is a regular language.
// Pure.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/grammar/text_automaton.h"

namespace potluck {

// The texts in which the expression is found: anywhere, unless ^ and $ say where. These may stand
// at the ends of an outermost alternative. Look-around, back-references and word borders are
// errors; all of them name line and column. What it took is
// added to `work`.
Result<TextAutomaton> automaton_of_expression(std::string_view expression, uint64_t* work);

}  // namespace potluck
