// Pattern: what a grammar's rule or a regular expression says, as a tree: characters, one after the
// other, alternatives, repetitions. Plain values and pure functions.
#pragma once

#include <utility>
#include <vector>

#include "engine/grammar/code_ranges.h"
#include "engine/grammar/grammar_builder.h"

namespace potluck {

enum class PatternKind : uint8_t {
  kCharacter,  // one of `ranges`
  kSequence,   // all parts; none: the empty text
  kChoice,     // one of the parts
  kRepeat,     // the one part, `least` to `most` times
  kRule,       // what another rule says
};

struct Pattern {
  PatternKind kind = PatternKind::kSequence;
  CodeRanges ranges{};
  std::vector<Pattern> parts{};
  uint32_t least = 0;
  uint32_t most = 0;  // Grammar::kEndless
  GrammarBuilder::Rule rule = 0;

  static Pattern character(CodeRanges ranges) {
    return {PatternKind::kCharacter, std::move(ranges), {}, 0, 0, 0};
  }
  static Pattern repeat(Pattern part, uint32_t least, uint32_t most) {
    Pattern made{PatternKind::kRepeat, {}, {}, least, most, 0};
    made.parts.push_back(std::move(part));
    return made;
  }
};

// The empty text is among what it allows; rules count as if it were not.
bool is_nullable(const Pattern& pattern);

// Draws it from one node of a rule to another one, both outside of any counted repetition.
void draw_pattern(const Pattern& pattern, GrammarBuilder::Node from, GrammarBuilder::Node to,
                  GrammarBuilder* builder);

}  // namespace potluck
