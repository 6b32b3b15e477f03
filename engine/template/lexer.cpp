// White space follows trim_blocks and lstrip_blocks, which the transformers library switches on for
// every chat template: a newline too many is a token that the model has never seen there.
#include "engine/template/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/template/characters.h"

namespace potluck {
namespace {

// Longer ones first, so "//" is not read as two divisions.
constexpr std::array<std::string_view, 27> kOperators{
    "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">",
    "=",  "|",  ".",  ",",  ":",  "(",  ")", "[", "]", "{", "}", ";", "!"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// Any letter beyond ASCII begins a name, too: which ones Python allows does not matter for
// templates that run there.
bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool continues_name(char c) {
  return starts_name(c) || is_digit(c);
}

// Every kind of line end becomes "\n", and a single one at the end of the template goes, as with
// Jinja2's defaults.
std::string normalize_lines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<TemplateToken>> run() {
    while (at_ < source_.size()) {
      if (Status status = read_text(); !status) return status.error();
      if (at_ == source_.size()) break;
      const char kind = source_[at_ + 1];
      Status status = kind == '#' ? read_comment() : read_tag(kind == '%');
      if (!status) return status.error();
    }
    add(Lexeme::kEnd, "");
    return std::move(tokens_);
  }

 private:
  // --- Text and the white space around tags ---

  size_t find_tag() const {
    for (size_t i = source_.find('{', at_); i != std::string_view::npos;
         i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() &&
          (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) {
        return i;
      }
    }
    return source_.size();
  }

  Status read_text() {
    const size_t tag = find_tag();
    std::string_view text = source_.substr(at_, tag - at_);
    if (tag < source_.size()) {
      // A "-" takes all white space, a "+" keeps all; "{{" keeps indentation, as it writes text
      // into a line.
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      if (sign == '-') {
        text = strip_right(text);
      } else if (sign != '+' && source_[tag + 1] != '{') {
        text = without_indentation(text);
      }
    }
    if (!text.empty()) add(Lexeme::kText, std::string(text));
    move_to(tag);
    return {};
  }

  // Drops white space between the last line's beginning and the tag, if there is nothing else.
  std::string_view without_indentation(std::string_view text) const {
    const size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starts_) return text;
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    return strip_right(text).size() <= line ? text.substr(0, line) : text;
  }

  // After a tag's end: "-" takes all white space that follows, else a statement or a comment takes
  // one newline.
  void skip_after_tag(char sign, bool takes_newline) {
    const size_t end = at_;
    if (sign == '-') {
      const std::string_view rest = source_.substr(at_);
      move_to(at_ + rest.size() - strip_left(rest).size());
    } else if (takes_newline && sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      move_to(at_ + 1);
    }
    line_starts_ = at_ > end && source_[at_ - 1] == '\n';
  }

  Status read_comment() {
    const SourcePosition begin = position_;
    const size_t end = source_.find("#}", at_ + 2);
    if (end == std::string_view::npos) {
      return error_at(begin, ErrorCode::kCorrupt, "the comment has no end");
    }
    const char sign = end > at_ + 2 ? source_[end - 1] : ' ';
    move_to(end + 2);
    skip_after_tag(sign, true);
    return {};
  }

  // --- Tags ---

  Status read_tag(bool is_statement) {
    const SourcePosition begin = position_;
    add(is_statement ? Lexeme::kTagBegin : Lexeme::kPrintBegin, "");
    move_to(at_ + 2);
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) move_to(at_ + 1);
    brackets_.clear();
    while (at_ < source_.size()) {
      const std::string_view rest = source_.substr(at_);
      const std::string_view blank = rest.substr(0, rest.size() - strip_left(rest).size());
      if (!blank.empty()) {
        move_to(at_ + blank.size());
        continue;
      }
      // Inside brackets "}}" closes two dicts: {{ {"a": {}} }}.
      if (brackets_.empty() && end_tag(is_statement)) return {};
      if (Status status = read_token(); !status) return status;
    }
    return error_at(begin, ErrorCode::kCorrupt, "the tag has no end");
  }

  bool end_tag(bool is_statement) {
    const std::string_view closing = is_statement ? "%}" : "}}";
    std::string_view rest = source_.substr(at_);
    const char sign = rest[0] == '-' || (is_statement && rest[0] == '+') ? rest[0] : ' ';
    if (sign != ' ') rest.remove_prefix(1);
    if (!rest.starts_with(closing)) return false;
    add(is_statement ? Lexeme::kTagEnd : Lexeme::kPrintEnd, "");
    move_to(at_ + (sign != ' ' ? 1 : 0) + closing.size());
    skip_after_tag(sign, is_statement);
    return true;
  }

  Status read_token() {
    const char c = source_[at_];
    if (starts_name(c)) {
      size_t end = at_ + 1;
      while (end < source_.size() && continues_name(source_[end])) ++end;
      return add_to(Lexeme::kName, end);
    }
    if (is_digit(c)) return read_number();
    if (c == '\'' || c == '"') return read_string(c);
    for (std::string_view known : kOperators) {
      if (!source_.substr(at_).starts_with(known)) continue;
      if (Status status = balance(known); !status) return status;
      return add_to(Lexeme::kOperator, at_ + known.size());
    }
    return error_at(position_, ErrorCode::kCorrupt,
                    fmt::format("unexpected character '{}'", printable(source_.substr(at_, 1))));
  }

  Status balance(std::string_view symbol) {
    const char c = symbol[0];
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty() || brackets_.back() != c) {
        return error_at(position_, ErrorCode::kCorrupt, fmt::format("unexpected '{}'", c));
      }
      brackets_.pop_back();
    }
    return {};
  }

  size_t digits_end(size_t from) const {
    while (from < source_.size() && (is_digit(source_[from]) || source_[from] == '_')) ++from;
    return from;
  }
  bool digit_at(size_t i) const { return i < source_.size() && is_digit(source_[i]); }

  Status read_number() {
    // "list.0.1" are two subscripts, not the number 0.1.
    const bool after_dot =
        !tokens_.empty() && tokens_.back().kind == Lexeme::kOperator && tokens_.back().text == ".";
    size_t end = digits_end(at_);
    bool is_float = false;
    if (!after_dot && end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
      end = digits_end(end + 1);
      is_float = true;
    }
    if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const bool has_sign =
          end + 1 < source_.size() && (source_[end + 1] == '-' || source_[end + 1] == '+');
      const size_t exponent = end + (has_sign ? 2 : 1);
      if (digit_at(exponent)) {
        end = digits_end(exponent);
        is_float = true;
      }
    }
    if (end < source_.size() && continues_name(source_[end])) {
      return error_at(position_, ErrorCode::kUnsupported,
                      "numbers are written with decimal digits only");
    }
    Status added = add_to(is_float ? Lexeme::kFloat : Lexeme::kInteger, end);
    std::string& digits = tokens_.back().text;
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    return added;
  }

  // --- Strings ---

  Status read_string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) {
      return error_at(position_, ErrorCode::kCorrupt, "the string has no end");
    }
    auto text = resolve_escapes(source_.substr(at_ + 1, end - at_ - 1));
    if (!text) return error_at(position_, text.error().code, text.error().message);
    add(Lexeme::kString, std::move(*text));
    move_to(end + 1);
    return {};
  }

  static Result<std::string> resolve_escapes(std::string_view raw) {
    std::string out;
    while (!raw.empty()) {
      if (raw[0] != '\\') {
        const size_t plain = std::min(raw.find('\\'), raw.size());
        out += raw.substr(0, plain);
        raw.remove_prefix(plain);
        continue;
      }
      raw.remove_prefix(1);
      const auto taken = resolve_escape(raw, &out);
      if (!taken) return taken.error();
      raw.remove_prefix(*taken);
    }
    return out;
  }

  // `rest` follows the backslash; returns how much of it belongs to the escape.
  static Result<size_t> resolve_escape(std::string_view rest, std::string* out) {
    constexpr std::string_view kLetters = "ntr\\'\"abfv0";
    constexpr std::string_view kMeanings("\n\t\r\\'\"\a\b\f\v\0", 11);
    const char c = rest[0];
    if (c == '\n') return 1;  // the line goes on
    if (is_digit(c) && c < '8' && (c != '0' || (rest.size() > 1 && is_digit(rest[1])))) {
      return Error{ErrorCode::kUnsupported, "octal escapes in strings are not supported"};
    }
    if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      *out += kMeanings[letter];
      return 1;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      // Not an escape: the backslash stays.
      *out += '\\';
      return 0;
    }
    const auto code_point = parse_hex(rest.substr(1, digits), digits);
    if (!code_point || *code_point > 0x10FFFF || (*code_point >= 0xD800 && *code_point < 0xE000)) {
      return Error{ErrorCode::kCorrupt, fmt::format("'\\{}' is not followed by a character's {} "
                                                    "hexadecimal digits",
                                                    c, digits)};
    }
    append_utf8(*code_point, out);
    return 1 + digits;
  }

  static std::optional<uint32_t> parse_hex(std::string_view text, size_t digits) {
    if (text.size() != digits) return std::nullopt;
    uint32_t value = 0;
    for (char c : text) {
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
      const int digit = is_digit(c) ? c - '0' : std::tolower(c) - 'a' + 10;
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    return value;
  }

  // --- Bookkeeping ---

  void add(Lexeme kind, std::string text) { tokens_.push_back({kind, std::move(text), position_}); }
  Status add_to(Lexeme kind, size_t end) {
    add(kind, std::string(source_.substr(at_, end - at_)));
    move_to(end);
    return {};
  }
  void move_to(size_t end) {
    for (; at_ < end; ++at_) {
      ++position_.column;
      if (source_[at_] == '\n') position_ = {position_.line + 1, 1};
    }
  }

  std::string_view source_;
  size_t at_ = 0;
  SourcePosition position_;
  bool line_starts_ = true;  // the text at at_ is the beginning of a line
  std::string brackets_;     // closing ones that are due in this tag, innermost last
  std::vector<TemplateToken> tokens_;
};

}  // namespace

Result<std::vector<TemplateToken>> tokenize_template(std::string_view source) {
  if (source.size() > limits::kTemplateBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("at most {} bytes, found {}", limits::kTemplateBytes, source.size())};
  }
  if (const auto offset = find_invalid_utf8(source)) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("expected UTF-8, found something else at byte {}", *offset)};
  }
  const std::string lines = normalize_lines(source);
  return Lexer(lines).run();
}

}  // namespace potluck
