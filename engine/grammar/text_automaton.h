// TextAutomaton: a regular set of texts, by Unicode characters: what a pattern, a length or a list
// of names allows of a string. Every state can be reached and leads to a text of the set. Plain
// values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/grammar/code_ranges.h"
#include "engine/grammar/pattern.h"

namespace potluck {

struct TextAutomaton {
  struct Edge {
    CodeRanges ranges;
    uint32_t to = 0;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepts = false;
  };
  // Begins at the first; none: no text at all.
  std::vector<State> states;
};

// Errors: more states than limits::kPatternStates, or more work than limits::kPatternWork. What it
// took is added to `work`, so that all the patterns of a schema together are bounded.
Result<TextAutomaton> automaton_of(const Pattern& pattern, uint64_t* work);  // without rules
Result<TextAutomaton> intersection(const TextAutomaton& a, const TextAutomaton& b, uint64_t* work);
Result<TextAutomaton> texts_of_length(uint32_t least, uint32_t most);  // may be Grammar::kEndless

TextAutomaton any_text();
// All texts that do not hold this one, which is not empty. The state says how much of it the end of
// the text is; every character that is not in `mark` leads back to the first.
TextAutomaton texts_without(std::string_view mark);
Result<TextAutomaton> texts_other_than(const std::vector<std::string>& names);

// The characters of a text in UTF-8.
std::vector<uint32_t> characters_of(std::string_view text);

}  // namespace potluck
