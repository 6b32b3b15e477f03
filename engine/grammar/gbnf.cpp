#include "engine/grammar/gbnf.h"

#include <map>
#include <string>

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/pattern.h"
#include "engine/grammar/text_cursor.h"

namespace potluck {
namespace {

bool is_name_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

class GbnfParser {
 public:
  GbnfParser(std::string_view text, GrammarBuilder* builder) : cursor_(text), builder_(*builder) {}

  Result<GrammarBuilder::Rule> parse() {
    skip_space(true);
    while (!cursor_.at_end()) {
      if (Status status = parse_rule(); !status) return status.error();
      skip_space(true);
    }
    for (const auto& [name, rule] : rules_) {
      if (rule.is_defined) continue;
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("the rule '{}' is used, but not defined", name)};
    }
    const auto root = rules_.find("root");
    if (root != rules_.end()) return root->second.id;
    return Error{ErrorCode::kInvalidArgument, "there is no rule 'root'"};
  }

 private:
  struct Rule {
    GrammarBuilder::Rule id = 0;
    bool is_defined = false;
  };

  // Comments count as space; so do line ends where a rule goes on behind them.
  void skip_space(bool with_lines) {
    for (;;) {
      const char next = cursor_.peek();
      if (next == '#') {
        while (!cursor_.at_end() && cursor_.peek() != '\n') cursor_.skip();
      } else if (next == ' ' || next == '\t' || next == '\r' || (with_lines && next == '\n')) {
        cursor_.skip();
      } else {
        return;
      }
    }
  }

  // A line that begins with "|" goes on with the alternatives of the line before.
  void skip_space_before_bar() {
    const TextCursor before = cursor_;
    skip_space(true);
    if (cursor_.peek() != '|') cursor_ = before;
  }

  std::string take_name() {
    const size_t begin = cursor_.position();
    while (is_name_byte(cursor_.peek())) cursor_.skip();
    return std::string(cursor_.since(begin));
  }

  Rule& rule(const std::string& name) {
    const auto [found, is_new] = rules_.try_emplace(name);
    if (is_new) found->second.id = builder_.rule(name);
    return found->second;
  }

  Status parse_rule() {
    const Error no_name = cursor_.expected("the name of a rule");
    const std::string name = take_name();
    if (name.empty()) return no_name;
    skip_space(false);
    if (!cursor_.take("::=")) return cursor_.expected("'::='");
    skip_space(true);
    Rule& defined = rule(name);
    if (defined.is_defined) {
      return cursor_.error(fmt::format("the rule '{}' is defined twice", name));
    }
    defined.is_defined = true;
    auto pattern = parse_choice(0);
    if (!pattern) return pattern.error();
    if (!cursor_.at_end() && cursor_.peek() != '\n') {
      return cursor_.expected("the end of the rule or of the line");
    }
    draw_pattern(*pattern, builder_.begin(defined.id), builder_.end(defined.id), &builder_);
    return {};
  }

  Result<Pattern> parse_choice(uint32_t depth) {
    if (depth > limits::kGrammarNesting) {
      return cursor_.error(
          fmt::format("more than {} groups within groups", limits::kGrammarNesting));
    }
    Pattern choice;
    choice.kind = PatternKind::kChoice;
    for (;;) {
      auto sequence = parse_sequence(depth);
      if (!sequence) return sequence;
      choice.parts.push_back(std::move(*sequence));
      if (depth == 0) skip_space_before_bar();
      if (!cursor_.take("|")) return choice;
      skip_space(true);
    }
  }

  Result<Pattern> parse_sequence(uint32_t depth) {
    Pattern sequence;
    for (;;) {
      const char next = cursor_.peek();
      if (cursor_.at_end() || next == '\n' || next == '|' || next == ')') return sequence;
      if (next == '*' || next == '+' || next == '?' || next == '{') {
        if (sequence.parts.empty()) return cursor_.expected("something to repeat before this");
        if (Status status = parse_repeat(&sequence.parts.back()); !status) return status.error();
      } else {
        auto item = parse_item(depth);
        if (!item) return item;
        sequence.parts.push_back(std::move(*item));
      }
      skip_space(depth > 0);
    }
  }

  Result<Pattern> parse_item(uint32_t depth) {
    if (cursor_.take("\"")) return parse_literal();
    if (cursor_.take("[")) return parse_class();
    if (cursor_.take(".")) return Pattern::character(all_characters());
    if (cursor_.take("(")) {
      skip_space(true);
      auto group = parse_choice(depth + 1);
      if (!group) return group;
      if (!cursor_.take(")")) return cursor_.expected("')'");
      return group;
    }
    const Error unknown = cursor_.expected("a text, a class, a group or the name of a rule");
    const std::string name = take_name();
    if (name.empty()) return unknown;
    Pattern call;
    call.kind = PatternKind::kRule;
    call.rule = rule(name).id;
    return call;
  }

  Result<Pattern> parse_literal() {
    Pattern literal;
    while (!cursor_.take("\"")) {
      if (cursor_.at_end()) return cursor_.expected("'\"'");
      auto code = take_character();
      if (!code) return code.error();
      literal.parts.push_back(Pattern::character({{*code, *code}}));
    }
    return literal;
  }

  Result<Pattern> parse_class() {
    const bool is_negated = cursor_.take("^");
    CodeRanges ranges;
    while (!cursor_.take("]")) {
      if (cursor_.at_end()) return cursor_.expected("']'");
      auto first = take_character();
      if (!first) return first.error();
      uint32_t last = *first;
      if (cursor_.peek() == '-' && cursor_.peek(1) != ']') {
        cursor_.skip();
        if (cursor_.at_end()) return cursor_.expected("the end of a range");
        auto end = take_character();
        if (!end) return end.error();
        last = *end;
      }
      if (last < *first) return cursor_.error("the range ends before it begins");
      ranges.push_back({*first, last});
    }
    ranges = normalized(std::move(ranges));
    return Pattern::character(is_negated ? complement(ranges) : ranges);
  }

  Result<uint32_t> take_character() {
    if (!cursor_.take("\\")) return cursor_.take_character();
    const char kind = cursor_.peek();
    const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0) {
      cursor_.skip();
      const auto code = cursor_.take_hex(digits);
      if (!code) return cursor_.expected(fmt::format("{} hexadecimal digits", digits));
      if (normalized({{*code, *code}}).empty()) return cursor_.error("this is no character");
      return *code;
    }
    constexpr std::string_view kPlain = "\\\"[]-^/.";
    if (kind != '\0' && kPlain.find(kind) != std::string_view::npos) {
      cursor_.skip();
      return static_cast<uint32_t>(kind);
    }
    if (cursor_.take("n")) return uint32_t{'\n'};
    if (cursor_.take("r")) return uint32_t{'\r'};
    if (cursor_.take("t")) return uint32_t{'\t'};
    return cursor_.expected("one of n r t x u U \\ \" [ ] - behind '\\'");
  }

  Status parse_repeat(Pattern* part) {
    uint32_t least = 0;
    uint32_t most = Grammar::kEndless;
    if (cursor_.take("+")) {
      least = 1;
    } else if (cursor_.take("?")) {
      most = 1;
    } else if (!cursor_.take("*")) {
      cursor_.skip();
      if (Status status = parse_bounds(&least, &most); !status) return status;
    }
    *part = Pattern::repeat(std::move(*part), least, most);
    return {};
  }

  Status parse_bounds(uint32_t* least, uint32_t* most) {
    skip_space(true);
    const auto first = cursor_.take_number(limits::kGrammarRounds);
    skip_space(true);
    const bool is_range = cursor_.take(",");
    skip_space(true);
    const auto last = is_range ? cursor_.take_number(limits::kGrammarRounds) : first;
    skip_space(true);
    if (!cursor_.take("}")) return cursor_.expected("'}' behind '{m', '{m,' or '{m,n'");
    if (!first && !last) return cursor_.error("a repetition needs a number");
    *least = first.value_or(0);
    *most = last.value_or(Grammar::kEndless);
    if (*least > limits::kGrammarRounds || (last && *last > limits::kGrammarRounds)) {
      return cursor_.error(fmt::format("at most {} repetitions", limits::kGrammarRounds));
    }
    if (*least > *most) return cursor_.error("the repetition has more at least than at most");
    return {};
  }

  TextCursor cursor_;
  GrammarBuilder& builder_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

Result<GrammarBuilder::Rule> draw_gbnf(std::string_view text, GrammarBuilder* builder) {
  if (text.size() > limits::kGrammarBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("at most {} bytes, found {}", limits::kGrammarBytes, text.size())};
  }
  if (const auto offset = find_invalid_utf8(text)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected UTF-8, found something else at byte {}", *offset)};
  }
  return GbnfParser(text, builder).parse();
}

}  // namespace potluck
