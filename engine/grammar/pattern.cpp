#include "engine/grammar/pattern.h"

#include <algorithm>

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;

// Repetitions of up to so many rounds are drawn round by round: they need no counter.
constexpr uint32_t kDrawnRounds = 8;

class PatternDrawer {
 public:
  explicit PatternDrawer(GrammarBuilder* builder) : builder_(*builder) {}

  void draw(const Pattern& pattern, Node from, Node to) {
    if (builder_.is_full()) return;
    switch (pattern.kind) {
      case PatternKind::kCharacter:
        return builder_.character(from, pattern.ranges, to);
      case PatternKind::kSequence:
        return draw_sequence(pattern, from, to);
      case PatternKind::kChoice:
        for (const Pattern& part : pattern.parts) draw(part, from, to);
        return;
      case PatternKind::kRepeat:
        return draw_repeat(pattern, from, to);
      case PatternKind::kRule:
        return builder_.call(from, pattern.rule, to);
    }
  }

 private:
  void draw_sequence(const Pattern& pattern, Node from, Node to) {
    for (const Pattern& part : pattern.parts) {
      const Node next = builder_.node();
      draw(part, from, next);
      from = next;
    }
    builder_.jump(from, to);
  }

  void draw_repeat(const Pattern& pattern, Node from, Node to) {
    const Pattern& part = pattern.parts.front();
    const bool is_endless = pattern.most == Grammar::kEndless;
    const bool is_short = (is_endless ? pattern.least : pattern.most) <= kDrawnRounds;
    if (!is_short && !is_nullable(part)) return draw_counted(pattern, from, to);
    // Rounds that may be empty need not be counted from below.
    const uint32_t least = is_short ? pattern.least : 0;
    for (uint32_t i = 0; i < least; ++i) from = draw_part(part, from);
    if (is_endless) {
      const Node loop = builder_.node();
      builder_.jump(from, loop);
      draw(part, loop, loop);
      return builder_.jump(loop, to);
    }
    for (uint32_t i = least; i < pattern.most && !builder_.is_full(); ++i) {
      builder_.jump(from, to);
      from = draw_part(part, from);
    }
    builder_.jump(from, to);
  }

  Node draw_part(const Pattern& part, Node from) {
    const Node next = builder_.node();
    draw(part, from, next);
    return next;
  }

  void draw_counted(const Pattern& pattern, Node from, Node to) {
    if (is_counting_) {
      const GrammarBuilder::Rule inner = builder_.rule("(repetition)");
      PatternDrawer(&builder_).draw(pattern, builder_.begin(inner), builder_.end(inner));
      return builder_.call(from, inner, to);
    }
    const GrammarBuilder::Rounds rounds = builder_.repeat(from, pattern.least, pattern.most, to);
    is_counting_ = true;
    draw(pattern.parts.front(), rounds.begin, rounds.up);
    is_counting_ = false;
  }

  GrammarBuilder& builder_;
  bool is_counting_ = false;
};

}  // namespace

bool is_nullable(const Pattern& pattern) {
  switch (pattern.kind) {
    case PatternKind::kSequence:
      return std::ranges::all_of(pattern.parts, is_nullable);
    case PatternKind::kChoice:
      return std::ranges::any_of(pattern.parts, is_nullable);
    case PatternKind::kRepeat:
      return pattern.least == 0 || is_nullable(pattern.parts.front());
    case PatternKind::kCharacter:
    case PatternKind::kRule:
      break;
  }
  return false;
}

void draw_pattern(const Pattern& pattern, Node from, Node to, GrammarBuilder* builder) {
  PatternDrawer(builder).draw(pattern, from, to);
}

}  // namespace potluck
