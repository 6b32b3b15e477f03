#include "engine/grammar/regular_expression.h"

#include <fmt/format.h>

#include "engine/base/utf8.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/text_cursor.h"

namespace potluck {
namespace {

const CodeRanges kDigits{{'0', '9'}};
const CodeRanges kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodeRanges kSpace{{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}};
const CodeRanges kLineEnds{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : cursor_(text) {}

  Result<Pattern> parse() {
    Pattern choice;
    choice.kind = PatternKind::kChoice;
    do {
      const bool at_begin = cursor_.take("^");
      auto sequence = parse_sequence(0);
      if (!sequence) return sequence;
      const bool at_end = cursor_.take("$");
      if (!cursor_.at_end() && cursor_.peek() != '|') {
        return cursor_.expected("'|' or the end of the pattern");
      }
      Pattern branch;
      if (!at_begin) branch.parts.push_back(anything());
      branch.parts.push_back(std::move(*sequence));
      if (!at_end) branch.parts.push_back(anything());
      choice.parts.push_back(std::move(branch));
    } while (cursor_.take("|"));
    return choice;
  }

 private:
  static Pattern anything() {
    return Pattern::repeat(Pattern::character(all_characters()), 0, Grammar::kEndless);
  }

  Result<Pattern> parse_sequence(uint32_t depth) {
    Pattern sequence;
    for (;;) {
      const char next = cursor_.peek();
      if (cursor_.at_end() || next == '|' || next == ')' || next == '$') return sequence;
      if (next == '*' || next == '+' || next == '?' || (next == '{' && is_count())) {
        if (sequence.parts.empty()) return cursor_.expected("something to repeat before this");
        if (Status status = parse_repeat(&sequence.parts.back()); !status) return status.error();
        continue;
      }
      auto item = parse_item(depth);
      if (!item) return item;
      sequence.parts.push_back(std::move(*item));
    }
  }

  // Any other brace stands for itself.
  bool is_count() const {
    size_t i = 1;
    while (cursor_.peek(i) >= '0' && cursor_.peek(i) <= '9') ++i;
    return i > 1 && (cursor_.peek(i) == '}' || cursor_.peek(i) == ',');
  }

  Result<Pattern> parse_item(uint32_t depth) {
    if (cursor_.take("(")) return parse_group(depth + 1);
    if (cursor_.take("[")) return parse_class();
    if (cursor_.take(".")) return Pattern::character(complement(kLineEnds));
    if (cursor_.peek() == '^') return cursor_.error("'^' may stand at the beginning alone");
    if (cursor_.peek() == '\\') {
      CodeRanges ranges;
      if (Status status = take_escape(&ranges); !status) return status.error();
      return Pattern::character(std::move(ranges));
    }
    const uint32_t code = cursor_.take_character();
    return Pattern::character({{code, code}});
  }

  Result<Pattern> parse_group(uint32_t depth) {
    if (depth > limits::kGrammarNesting) {
      return cursor_.error(
          fmt::format("more than {} groups within groups", limits::kGrammarNesting));
    }
    if (cursor_.peek() == '?' && !cursor_.take("?:")) {
      return cursor_.error("of groups with '(?', only '(?:' is supported");
    }
    Pattern choice;
    choice.kind = PatternKind::kChoice;
    do {
      auto sequence = parse_sequence(depth);
      if (!sequence) return sequence;
      if (cursor_.peek() == '$') return cursor_.error("'$' may stand at the end alone");
      choice.parts.push_back(std::move(*sequence));
    } while (cursor_.take("|"));
    if (!cursor_.take(")")) return cursor_.expected("')'");
    return choice;
  }

  Result<Pattern> parse_class() {
    const bool is_negated = cursor_.take("^");
    CodeRanges all;
    while (!cursor_.take("]")) {
      CodeRanges first;
      if (Status status = take_member(&first); !status) return status.error();
      const bool is_single = first.size() == 1 && first[0].first == first[0].last;
      if (is_single && cursor_.peek() == '-' && cursor_.peek(1) != ']') {
        cursor_.skip();
        CodeRanges last;
        if (Status status = take_member(&last); !status) return status.error();
        const bool is_range =
            last.size() == 1 && last[0].first == last[0].last && last[0].first >= first[0].first;
        if (!is_range) return cursor_.error("this is no range of characters");
        first[0].last = last[0].last;
      }
      all.insert(all.end(), first.begin(), first.end());
    }
    all = normalized(std::move(all));
    return Pattern::character(is_negated ? complement(all) : all);
  }

  Status take_member(CodeRanges* ranges) {
    if (cursor_.at_end()) return cursor_.expected("']'");
    if (cursor_.peek() == '\\') return take_escape(ranges);
    const uint32_t code = cursor_.take_character();
    *ranges = {{code, code}};
    return {};
  }

  Status take_escape(CodeRanges* ranges) {
    cursor_.skip();
    const char kind = cursor_.peek();
    switch (kind) {
      case 'd':
      case 'D':
        *ranges = kind == 'd' ? kDigits : complement(kDigits);
        break;
      case 'w':
      case 'W':
        *ranges = kind == 'w' ? kWord : complement(kWord);
        break;
      case 's':
      case 'S':
        *ranges = kind == 's' ? kSpace : complement(kSpace);
        break;
      case 'x':
      case 'u':
        return take_code(kind == 'x' ? 2 : 4, ranges);
      default:
        return take_single(kind, ranges);
    }
    cursor_.skip();
    return {};
  }

  Status take_code(size_t digits, CodeRanges* ranges) {
    cursor_.skip();
    const auto code = cursor_.take_hex(digits);
    if (!code) return cursor_.expected(fmt::format("{} hexadecimal digits", digits));
    *ranges = normalized({{*code, *code}});
    if (ranges->empty()) return cursor_.error("this is no character");
    return {};
  }

  Status take_single(char kind, CodeRanges* ranges) {
    constexpr std::string_view kNames = "nrtfv0";
    constexpr std::string_view kCodes{"\n\r\t\f\v\0", 6};
    const size_t known = kNames.find(kind);
    const bool is_letter =
        (kind >= '0' && kind <= '9') || ((kind | 0x20) >= 'a' && (kind | 0x20) <= 'z');
    if (cursor_.at_end() || (is_letter && known == std::string_view::npos)) {
      return cursor_.expected("one of d w s n r t f v x u or a punctuation mark behind '\\'");
    }
    uint32_t code = cursor_.take_character();
    if (is_letter) code = static_cast<uint8_t>(kCodes[known]);
    *ranges = {{code, code}};
    return {};
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
      least = cursor_.take_number(limits::kPatternStates).value_or(0);
      most = least;
      if (cursor_.take(",")) {
        most = cursor_.take_number(limits::kPatternStates).value_or(Grammar::kEndless);
      }
      if (!cursor_.take("}")) return cursor_.expected("'}'");
    }
    if (least > most) return cursor_.error("the repetition has more at least than at most");
    cursor_.take("?");  // lazy: another match, of the same texts
    *part = Pattern::repeat(std::move(*part), least, most);
    return {};
  }

  TextCursor cursor_;
};

}  // namespace

Result<TextAutomaton> automaton_of_expression(std::string_view expression, uint64_t* work) {
  if (expression.size() > limits::kGrammarBytes) {
    return Error{ErrorCode::kLimit, fmt::format("at most {} bytes, found {}", limits::kGrammarBytes,
                                                expression.size())};
  }
  if (find_invalid_utf8(expression)) {
    return Error{ErrorCode::kInvalidArgument, "expected UTF-8"};
  }
  auto pattern = ExpressionParser(expression).parse();
  if (!pattern) return pattern.error();
  return automaton_of(*pattern, work);
}

}  // namespace potluck
