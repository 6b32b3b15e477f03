#include "engine/grammar/text_automaton.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

Error too_many_states() {
  return {
      ErrorCode::kLimit,
      fmt::format("patterns are too complex: one takes more than {} states, or all too much work",
                  limits::kPatternStates)};
}

std::vector<uint32_t> code_points_of(std::string_view text) {
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < text.size(); i += utf8_length(text[i])) {
    codes.push_back(decode_utf8(text.substr(i)));
  }
  return codes;
}

// Keeps what can be reached and leads to an end, in the same order.
TextAutomaton trimmed(const TextAutomaton& given) {
  const size_t count = given.states.size();
  std::vector<std::vector<uint32_t>> before(count);
  for (uint32_t i = 0; i < count; ++i) {
    for (const TextAutomaton::Edge& edge : given.states[i].edges) before[edge.to].push_back(i);
  }
  std::vector<bool> ends(count);
  std::vector<uint32_t> open;
  for (uint32_t i = 0; i < count; ++i) {
    if (given.states[i].accepts) open.push_back(i);
  }
  while (!open.empty()) {
    const uint32_t i = open.back();
    open.pop_back();
    if (ends[i]) continue;
    ends[i] = true;
    open.insert(open.end(), before[i].begin(), before[i].end());
  }
  std::vector<bool> reached(count);
  if (count > 0 && ends[0]) open.push_back(0);
  while (!open.empty()) {
    const uint32_t i = open.back();
    open.pop_back();
    if (reached[i]) continue;
    reached[i] = true;
    for (const TextAutomaton::Edge& edge : given.states[i].edges) {
      if (ends[edge.to]) open.push_back(edge.to);
    }
  }
  std::vector<uint32_t> numbers(count);
  uint32_t next = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (reached[i]) numbers[i] = next++;
  }
  TextAutomaton made;
  made.states.resize(next);
  for (uint32_t i = 0; i < count; ++i) {
    if (!reached[i]) continue;
    TextAutomaton::State& state = made.states[numbers[i]];
    state.accepts = given.states[i].accepts;
    for (const TextAutomaton::Edge& edge : given.states[i].edges) {
      if (reached[edge.to]) state.edges.push_back({edge.ranges, numbers[edge.to]});
    }
  }
  return made;
}

// A pattern with jumps between states, which are then left out.
class PatternReader {
 public:
  Result<TextAutomaton> read(const Pattern& pattern) {
    const uint32_t begin = add();
    const uint32_t end = add();
    draw(pattern, begin, end);
    if (is_full()) return too_many_states();
    TextAutomaton made;
    made.states.resize(states_.size());
    for (uint32_t i = 0; i < states_.size(); ++i) {
      for (const uint32_t inside : reached_without_character(i)) {
        made.states[i].accepts = made.states[i].accepts || inside == end;
        for (const TextAutomaton::Edge& edge : states_[inside].edges) {
          made.states[i].edges.push_back(edge);
        }
        edges_ += states_[inside].edges.size();
      }
      if (edges_ > limits::kGrammarEdges) return too_many_states();
    }
    return trimmed(made);
  }

  uint64_t work() const { return states_.size() + edges_; }

 private:
  struct Draft {
    std::vector<TextAutomaton::Edge> edges;
    std::vector<uint32_t> jumps;
  };

  bool is_full() const { return states_.size() > limits::kPatternStates; }
  uint32_t add() {
    if (is_full()) return 0;
    states_.emplace_back();
    return static_cast<uint32_t>(states_.size() - 1);
  }
  uint32_t draw_part(const Pattern& part, uint32_t from) {
    const uint32_t next = add();
    draw(part, from, next);
    return next;
  }

  void draw(const Pattern& pattern, uint32_t from, uint32_t to) {
    if (is_full()) return;
    switch (pattern.kind) {
      case PatternKind::kCharacter:
        if (!pattern.ranges.empty()) states_[from].edges.push_back({pattern.ranges, to});
        return;
      case PatternKind::kSequence:
        for (const Pattern& part : pattern.parts) from = draw_part(part, from);
        states_[from].jumps.push_back(to);
        return;
      case PatternKind::kChoice:
        for (const Pattern& part : pattern.parts) draw(part, from, to);
        return;
      case PatternKind::kRepeat:
        return draw_repeat(pattern, from, to);
      case PatternKind::kRule:
        return;
    }
  }

  void draw_repeat(const Pattern& pattern, uint32_t from, uint32_t to) {
    const Pattern& part = pattern.parts.front();
    for (uint32_t i = 0; i < pattern.least && !is_full(); ++i) from = draw_part(part, from);
    if (pattern.most == Grammar::kEndless) {
      const uint32_t loop = add();
      states_[from].jumps.push_back(loop);
      draw(part, loop, loop);
      from = loop;
    } else {
      for (uint32_t i = pattern.least; i < pattern.most && !is_full(); ++i) {
        states_[from].jumps.push_back(to);
        from = draw_part(part, from);
      }
    }
    states_[from].jumps.push_back(to);
  }

  std::vector<uint32_t> reached_without_character(uint32_t from) {
    std::vector<uint32_t> reached;
    std::vector<uint32_t> open{from};
    marks_.resize(states_.size());
    ++mark_;
    while (!open.empty()) {
      const uint32_t i = open.back();
      open.pop_back();
      if (marks_[i] == mark_) continue;
      marks_[i] = mark_;
      reached.push_back(i);
      edges_ += states_[i].jumps.size();
      if (edges_ > limits::kGrammarEdges) break;
      open.insert(open.end(), states_[i].jumps.begin(), states_[i].jumps.end());
    }
    return reached;
  }

  std::vector<Draft> states_;
  size_t edges_ = 0;  // looked at and made
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 0;
};

}  // namespace

Result<TextAutomaton> automaton_of(const Pattern& pattern, uint64_t* work) {
  PatternReader reader;
  auto made = reader.read(pattern);
  *work += reader.work();
  if (*work > limits::kPatternWork) return too_many_states();
  return made;
}

Result<TextAutomaton> intersection(const TextAutomaton& a, const TextAutomaton& b, uint64_t* work) {
  TextAutomaton made;
  if (a.states.empty() || b.states.empty()) return made;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> numbers{{{0, 0}, 0}};
  std::vector<std::pair<uint32_t, uint32_t>> pairs{{0, 0}};
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    const TextAutomaton::State& left = a.states[pairs[i].first];
    const TextAutomaton::State& right = b.states[pairs[i].second];
    TextAutomaton::State state;
    state.accepts = left.accepts && right.accepts;
    for (const TextAutomaton::Edge& from_a : left.edges) {
      for (const TextAutomaton::Edge& from_b : right.edges) {
        if (++*work > limits::kPatternWork) return too_many_states();
        CodeRanges both = intersection(from_a.ranges, from_b.ranges);
        if (both.empty()) continue;
        const std::pair<uint32_t, uint32_t> pair{from_a.to, from_b.to};
        const auto [found, is_new] = numbers.try_emplace(pair, static_cast<uint32_t>(pairs.size()));
        if (is_new) pairs.push_back(pair);
        if (pairs.size() > limits::kPatternStates) return too_many_states();
        state.edges.push_back({std::move(both), found->second});
      }
    }
    made.states.push_back(std::move(state));
  }
  return trimmed(made);
}

Result<TextAutomaton> texts_of_length(uint32_t least, uint32_t most) {
  const bool is_endless = most == Grammar::kEndless;
  const uint32_t last = is_endless ? least : most;
  if (last >= limits::kPatternStates) return too_many_states();
  TextAutomaton made;
  if (least > most) return made;
  made.states.resize(size_t{last} + 1);
  for (uint32_t i = 0; i <= last; ++i) {
    made.states[i].accepts = i >= least;
    if (i < last) made.states[i].edges.push_back({all_characters(), i + 1});
  }
  if (is_endless) made.states[last].edges.push_back({all_characters(), last});
  return made;
}

TextAutomaton any_text() {
  TextAutomaton made;
  made.states.push_back({{{all_characters(), 0}}, true});
  return made;
}

TextAutomaton texts_without(std::string_view mark) {
  const std::vector<uint32_t> codes = code_points_of(mark);
  const CodeRanges known = [&] {
    CodeRanges ranges;
    for (const uint32_t code : codes) ranges.push_back({code, code});
    return normalized(std::move(ranges));
  }();
  // How much of the mark is the end of its first `done` characters and then `code`.
  const auto next = [&](size_t done, uint32_t code) {
    for (size_t length = done + 1; length > 0; --length) {
      const auto begin = codes.begin() + static_cast<ptrdiff_t>(done + 1 - length);
      const bool same =
          std::equal(begin, codes.begin() + static_cast<ptrdiff_t>(done), codes.begin()) &&
          codes[length - 1] == code;
      if (same) return static_cast<uint32_t>(length);
    }
    return uint32_t{0};
  };
  TextAutomaton made;
  made.states.resize(codes.size());
  for (size_t done = 0; done < codes.size(); ++done) {
    TextAutomaton::State& state = made.states[done];
    state.accepts = true;
    state.edges.push_back({complement(known), 0});
    std::map<uint32_t, CodeRanges> by_target;
    for (const CodeRange& range : known) {
      for (uint32_t code = range.first; code <= range.last; ++code) {
        by_target[next(done, code)].push_back({code, code});
      }
    }
    for (auto& [to, ranges] : by_target) {
      if (to < codes.size()) state.edges.push_back({normalized(std::move(ranges)), to});
    }
  }
  return made;
}

Result<TextAutomaton> texts_other_than(const std::vector<std::string>& names) {
  TextAutomaton made;
  made.states.resize(2);  // 1: no name begins so
  made.states[1] = {{{all_characters(), 1}}, true};
  std::vector<std::map<uint32_t, uint32_t>> next(1);  // of states but the second
  std::vector<uint32_t> numbers{0};
  std::vector<bool> is_name{false};
  for (const std::string& name : names) {
    size_t at = 0;
    for (const uint32_t code : code_points_of(name)) {
      const auto [found, is_new] = next[at].try_emplace(code, static_cast<uint32_t>(next.size()));
      const uint32_t to = found->second;
      if (is_new) {
        next.emplace_back();
        is_name.push_back(false);
        numbers.push_back(to + 1);
        if (next.size() >= limits::kPatternStates) return too_many_states();
      }
      at = to;
    }
    is_name[at] = true;
  }
  made.states.resize(next.size() + 1);
  for (size_t i = 0; i < next.size(); ++i) {
    TextAutomaton::State& state = made.states[numbers[i]];
    state.accepts = !is_name[i];
    CodeRanges known;
    for (const auto& [code, to] : next[i]) {
      known.push_back({code, code});
      state.edges.push_back({{{code, code}}, numbers[to]});
    }
    state.edges.push_back({complement(normalized(std::move(known))), 1});
  }
  return made;
}

}  // namespace potluck
