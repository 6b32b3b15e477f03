// Recursive descent, one function per level of precedence, in the order of Jinja2's own parser.
// Where that differs from Python, Jinja2 counts: templates were tested with it.
#include "engine/template/expression_parser.h"

#include <charconv>
#include <cstdlib>

#include "engine/base/limits.h"
#include "engine/template/filters.h"
#include "engine/template/value_tests.h"

namespace potluck {
namespace {

Error too_deep(SourcePosition at) {
  return error_at(at, ErrorCode::kLimit,
                  fmt::format("expressions nest deeper than {}", limits::kTemplateDepth));
}

struct OperatorRow {
  std::string_view symbol;
  BinaryOperation operation;
};

// Binary operators that associate to the left, by level; the last binds most tightly. Unlike in
// Python, "**" associates to the left as well, and a sign binds more tightly: -2 ** 2 is 4.
const std::vector<std::vector<OperatorRow>>& operator_levels() {
  static const std::vector<std::vector<OperatorRow>> levels{
      {{"+", BinaryOperation::kAdd}, {"-", BinaryOperation::kSubtract}},
      {{"~", BinaryOperation::kConcatenate}},
      {{"*", BinaryOperation::kMultiply},
       {"/", BinaryOperation::kDivide},
       {"//", BinaryOperation::kFloorDivide},
       {"%", BinaryOperation::kModulo}},
      {{"**", BinaryOperation::kPower}}};
  return levels;
}

struct ComparisonRow {
  std::string_view symbol;
  Comparison comparison;
};
constexpr ComparisonRow kComparisons[] = {
    {"==", Comparison::kEqual},  {"!=", Comparison::kUnequal},
    {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
    {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};

std::optional<Comparison> take_comparison(TokenStream* tokens) {
  if (tokens->skip_name("in")) return Comparison::kIn;
  if (tokens->at_name("not") && tokens->peek(1).kind == Lexeme::kName &&
      tokens->peek(1).text == "in") {
    tokens->take();
    tokens->take();
    return Comparison::kNotIn;
  }
  for (const ComparisonRow& row : kComparisons) {
    if (tokens->skip_symbol(row.symbol)) return row.comparison;
  }
  return std::nullopt;
}

}  // namespace

// --- Nodes -----------------------------------------------------------------------------------

ExpressionParser::Made ExpressionParser::make(ExpressionKind kind, SourcePosition at) {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->at = at;
  return made;
}

void ExpressionParser::adopt(Made* parent, ExpressionPtr operand) {
  if (operand != nullptr) (*parent)->depth = std::max((*parent)->depth, operand->depth + 1);
  (*parent)->operands.push_back(std::move(operand));
}

// Chains such as a.b.c.d grow without recursion of the parser, so the depth is looked at in every
// node: the interpreter and the destructor do recurse.
Result<ExpressionPtr> ExpressionParser::finish(Made made) {
  if (made->depth > limits::kTemplateDepth) return too_deep(made->at);
  return ExpressionPtr(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::pair(ExpressionKind kind, SourcePosition at,
                                             ExpressionPtr left, ExpressionPtr right) {
  Made made = make(kind, at);
  adopt(&made, std::move(left));
  adopt(&made, std::move(right));
  return finish(std::move(made));
}

ExpressionPtr ExpressionParser::block_text(SourcePosition at) {
  Made made = make(ExpressionKind::kName, at);
  made->name = kBlockText;
  return made;
}

// --- From the loosest to the tightest binding ------------------------------------------------

Result<ExpressionPtr> ExpressionParser::parse_tuple() {
  const SourcePosition at = tokens_.peek().at;
  auto first = parse();
  if (!first || !tokens_.at_symbol(",")) return first;
  Made made = make(ExpressionKind::kTuple, at);
  adopt(&made, std::move(*first));
  while (tokens_.skip_symbol(",")) {
    // A comma at the end makes a tuple of one.
    if (tokens_.at(Lexeme::kTagEnd) || tokens_.at(Lexeme::kPrintEnd) || tokens_.at_symbol(")")) {
      break;
    }
    auto next = parse();
    if (!next) return next.error();
    adopt(&made, std::move(*next));
  }
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse() {
  // Every nesting in brackets comes through here. After an error the counter does not matter any
  // more: parsing ends.
  if (++nesting_ > limits::kTemplateDepth) return too_deep(tokens_.peek().at);
  auto chosen = parse_or();
  while (chosen && tokens_.at_name("if")) {
    const SourcePosition at = tokens_.take().at;
    auto condition = parse_or();
    if (!condition) return condition.error();
    Made made = make(ExpressionKind::kConditional, at);
    adopt(&made, std::move(*chosen));
    adopt(&made, std::move(*condition));
    ExpressionPtr otherwise;
    if (tokens_.skip_name("else")) {
      auto parsed = parse();
      if (!parsed) return parsed.error();
      otherwise = std::move(*parsed);
    }
    adopt(&made, std::move(otherwise));
    chosen = finish(std::move(made));
  }
  --nesting_;
  return chosen;
}

// In "for x in items if x" the `if` belongs to the loop.
Result<ExpressionPtr> ExpressionParser::parse_without_condition() {
  return parse_or();
}

Result<ExpressionPtr> ExpressionParser::parse_or() {
  auto left = parse_and();
  while (left && tokens_.at_name("or")) {
    const SourcePosition at = tokens_.take().at;
    auto right = parse_and();
    if (!right) return right.error();
    left = pair(ExpressionKind::kOr, at, std::move(*left), std::move(*right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_and() {
  auto left = parse_not();
  while (left && tokens_.at_name("and")) {
    const SourcePosition at = tokens_.take().at;
    auto right = parse_not();
    if (!right) return right.error();
    left = pair(ExpressionKind::kAnd, at, std::move(*left), std::move(*right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_not() {
  if (!tokens_.at_name("not")) return parse_compare();
  if (++nesting_ > limits::kTemplateDepth) return too_deep(tokens_.peek().at);
  Made made = make(ExpressionKind::kNot, tokens_.take().at);
  auto operand = parse_not();
  --nesting_;
  if (!operand) return operand.error();
  adopt(&made, std::move(*operand));
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_compare() {
  const SourcePosition at = tokens_.peek().at;
  auto first = parse_level(0);
  if (!first) return first.error();
  Made made;
  while (const auto comparison = take_comparison(&tokens_)) {
    auto next = parse_level(0);
    if (!next) return next.error();
    // A chain "a < b < c" is one node, so that b is evaluated once.
    if (made == nullptr) {
      made = make(ExpressionKind::kCompare, at);
      adopt(&made, std::move(*first));
    }
    made->comparisons.push_back(*comparison);
    adopt(&made, std::move(*next));
  }
  return made == nullptr ? std::move(first) : finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_level(size_t level) {
  if (level == operator_levels().size()) return parse_unary(true);
  auto left = parse_level(level + 1);
  while (left) {
    const OperatorRow* found = nullptr;
    for (const OperatorRow& row : operator_levels()[level]) {
      if (tokens_.at_symbol(row.symbol)) found = &row;
    }
    if (found == nullptr) break;
    Made made = make(ExpressionKind::kBinary, tokens_.take().at);
    made->operation = found->operation;
    auto right = parse_level(level + 1);
    if (!right) return right.error();
    adopt(&made, std::move(*left));
    adopt(&made, std::move(*right));
    left = finish(std::move(made));
  }
  return left;
}

// A sign takes a primary without filters; these come after it: "-x | abs" is the absolute value of
// -x.
Result<ExpressionPtr> ExpressionParser::parse_unary(bool with_filters) {
  Result<ExpressionPtr> subject = Error{};
  if (tokens_.at_symbol("-") || tokens_.at_symbol("+")) {
    if (++nesting_ > limits::kTemplateDepth) return too_deep(tokens_.peek().at);
    const bool negative = tokens_.at_symbol("-");
    Made made =
        make(negative ? ExpressionKind::kNegative : ExpressionKind::kPositive, tokens_.take().at);
    auto operand = parse_unary(false);
    --nesting_;
    if (!operand) return operand.error();
    adopt(&made, std::move(*operand));
    subject = finish(std::move(made));
  } else {
    subject = parse_primary();
  }
  if (!subject) return subject.error();
  auto whole = parse_postfix(std::move(*subject));
  return whole && with_filters ? parse_filters(std::move(*whole)) : std::move(whole);
}

// --- Primaries -------------------------------------------------------------------------------

Result<ExpressionPtr> ExpressionParser::parse_primary() {
  switch (tokens_.peek().kind) {
    case Lexeme::kName:
      return parse_name();
    case Lexeme::kString:
      return parse_string();
    case Lexeme::kInteger:
    case Lexeme::kFloat:
      return parse_number();
    default:
      break;
  }
  if (tokens_.at_symbol("(")) return parse_parentheses();
  if (tokens_.at_symbol("[")) return parse_list();
  if (tokens_.at_symbol("{")) return parse_dict();
  return tokens_.unexpected("an expression");
}

Result<ExpressionPtr> ExpressionParser::parse_name() {
  const TemplateToken& token = tokens_.take();
  Made made = make(ExpressionKind::kLiteral, token.at);
  if (token.text == "true" || token.text == "True") {
    made->value = Value::of(true);
  } else if (token.text == "false" || token.text == "False") {
    made->value = Value::of(false);
  } else if (token.text == "none" || token.text == "None") {
    made->value = Value::none();
  } else {
    made->kind = ExpressionKind::kName;
    made->name = token.text;
  }
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_number() {
  const TemplateToken& token = tokens_.take();
  Made made = make(ExpressionKind::kLiteral, token.at);
  const char* end = token.text.data() + token.text.size();
  if (token.kind == Lexeme::kFloat) {
    made->value = Value::of(std::strtod(token.text.c_str(), nullptr));
    return finish(std::move(made));
  }
  int64_t whole = 0;
  if (std::from_chars(token.text.data(), end, whole).ec != std::errc()) {
    return error_at(token.at, ErrorCode::kUnsupported,
                    "whole numbers have 64 bits: " + printable(token.text));
  }
  made->value = Value::of(whole);
  return finish(std::move(made));
}

// Strings that follow each other are one.
Result<ExpressionPtr> ExpressionParser::parse_string() {
  Made made = make(ExpressionKind::kLiteral, tokens_.peek().at);
  std::string text;
  while (tokens_.at(Lexeme::kString)) text += tokens_.take().text;
  made->value = Value::of(std::make_shared<const MarkedText>(text, Trust::kTemplate, nullptr));
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_parentheses() {
  const SourcePosition at = tokens_.take().at;
  if (tokens_.skip_symbol(")")) return finish(make(ExpressionKind::kTuple, at));
  auto inner = parse_tuple();
  if (!inner) return inner.error();
  if (Status status = tokens_.expect_symbol(")"); !status) return status.error();
  return inner;
}

Result<ExpressionPtr> ExpressionParser::parse_list() {
  Made made = make(ExpressionKind::kList, tokens_.take().at);
  while (!tokens_.skip_symbol("]")) {
    if (!made->operands.empty()) {
      if (Status status = tokens_.expect_symbol(","); !status) return status.error();
      if (tokens_.skip_symbol("]")) break;
    }
    auto item = parse();
    if (!item) return item.error();
    adopt(&made, std::move(*item));
  }
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_dict() {
  Made made = make(ExpressionKind::kDict, tokens_.take().at);
  while (!tokens_.skip_symbol("}")) {
    if (!made->operands.empty()) {
      if (Status status = tokens_.expect_symbol(","); !status) return status.error();
      if (tokens_.skip_symbol("}")) break;
    }
    auto key = parse();
    if (!key) return key.error();
    if (Status status = tokens_.expect_symbol(":"); !status) return status.error();
    auto value = parse();
    if (!value) return value.error();
    adopt(&made, std::move(*key));
    adopt(&made, std::move(*value));
  }
  return finish(std::move(made));
}

// --- What follows a primary ------------------------------------------------------------------

Result<ExpressionPtr> ExpressionParser::parse_postfix(ExpressionPtr subject) {
  Result<ExpressionPtr> whole = std::move(subject);
  while (whole) {
    if (tokens_.at_symbol(".")) {
      whole = parse_attribute(std::move(*whole));
    } else if (tokens_.at_symbol("[")) {
      whole = parse_subscript(std::move(*whole));
    } else if (tokens_.at_symbol("(")) {
      whole = parse_call(std::move(*whole));
    } else {
      break;
    }
  }
  return whole;
}

Result<ExpressionPtr> ExpressionParser::parse_attribute(ExpressionPtr subject) {
  const SourcePosition at = tokens_.take().at;
  if (tokens_.at(Lexeme::kInteger)) {  // list.0
    auto index = parse_number();
    if (!index) return index.error();
    return pair(ExpressionKind::kSubscript, at, std::move(subject), std::move(*index));
  }
  auto name = tokens_.take_name("the name of an attribute");
  if (!name) return name.error();
  Made made = make(ExpressionKind::kAttribute, at);
  made->name = std::move(*name);
  adopt(&made, std::move(subject));
  return finish(std::move(made));
}

Status ExpressionParser::parse_slice_part(Made* slice) {
  if (tokens_.at_symbol(":") || tokens_.at_symbol("]")) {
    adopt(slice, nullptr);
    return {};
  }
  auto part = parse();
  if (!part) return part.error();
  adopt(slice, std::move(*part));
  return {};
}

Result<ExpressionPtr> ExpressionParser::parse_subscript(ExpressionPtr subject) {
  Made made = make(ExpressionKind::kSlice, tokens_.take().at);
  adopt(&made, std::move(subject));
  if (Status status = parse_slice_part(&made); !status) return status.error();
  if (tokens_.skip_symbol("]")) {
    if (made->operands[1] == nullptr) return tokens_.unexpected("an index between the brackets");
    made->kind = ExpressionKind::kSubscript;
    return finish(std::move(made));
  }
  if (tokens_.at_symbol(",")) {
    return error_at(tokens_.peek().at, ErrorCode::kUnsupported,
                    "subscripts of several values are not supported");
  }
  for (int part = 2; part <= 3; ++part) {
    if (tokens_.skip_symbol(":")) {
      if (Status status = parse_slice_part(&made); !status) return status.error();
    } else {
      adopt(&made, nullptr);
    }
  }
  if (Status status = tokens_.expect_symbol("]"); !status) return status.error();
  return finish(std::move(made));
}

Status ExpressionParser::parse_arguments(Made* call) {
  if (Status status = tokens_.expect_symbol("("); !status) return status.error();
  while (!tokens_.skip_symbol(")")) {
    if ((*call)->operands.size() > 1 || !(*call)->keywords.empty()) {
      if (Status status = tokens_.expect_symbol(","); !status) return status.error();
      if (tokens_.skip_symbol(")")) break;
    }
    if (tokens_.at_symbol("*") || tokens_.at_symbol("**")) {
      return error_at(tokens_.peek().at, ErrorCode::kUnsupported,
                      "arguments unpacked with * and ** are not supported");
    }
    const bool named = tokens_.at(Lexeme::kName) && tokens_.peek(1).kind == Lexeme::kOperator &&
                       tokens_.peek(1).text == "=";
    std::string name;
    if (named) {
      name = tokens_.take().text;
      tokens_.take();
    } else if (!(*call)->keywords.empty()) {
      return tokens_.unexpected("a named argument, as the one before it is");
    }
    auto value = parse();
    if (!value) return value.error();
    if (named) {
      // Keywords are no operands, so adopt() does not see them.
      (*call)->depth = std::max((*call)->depth, (*value)->depth + 1);
      (*call)->keywords.push_back({std::move(name), std::move(*value)});
    } else {
      adopt(call, std::move(*value));
    }
  }
  return {};
}

Result<ExpressionPtr> ExpressionParser::parse_call(ExpressionPtr callee) {
  Made made = make(ExpressionKind::kCall, tokens_.peek().at);
  adopt(&made, std::move(callee));
  if (Status status = parse_arguments(&made); !status) return status.error();
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_filters(ExpressionPtr subject) {
  Result<ExpressionPtr> whole = std::move(subject);
  while (whole) {
    if (tokens_.at_symbol("|")) {
      tokens_.take();
      whole = parse_filter(std::move(*whole));
    } else if (tokens_.at_name("is")) {
      tokens_.take();
      whole = parse_test(std::move(*whole));
    } else if (tokens_.at_symbol("(")) {
      whole = parse_call(std::move(*whole));
    } else {
      break;
    }
  }
  return whole;
}

Result<ExpressionPtr> ExpressionParser::parse_filter_chain(SourcePosition at) {
  auto first = parse_filter(block_text(at));
  if (!first) return first.error();
  return parse_filters(std::move(*first));
}

Result<ExpressionPtr> ExpressionParser::parse_filter(ExpressionPtr subject) {
  const SourcePosition at = tokens_.peek().at;
  auto name = tokens_.take_name("the name of a filter");
  if (!name) return name.error();
  Made made = make(ExpressionKind::kFilter, at);
  // Looked up now and not when it runs: a template that needs what is not here is refused as the
  // model is loaded, not in the middle of a conversation.
  made->filter = find_filter(*name);
  if (made->filter == nullptr) {
    return error_at(at, ErrorCode::kUnsupported,
                    fmt::format("the filter '{}' is not supported", printable(*name)));
  }
  made->name = std::move(*name);
  adopt(&made, std::move(subject));
  if (tokens_.at_symbol("(")) {
    if (Status status = parse_arguments(&made); !status) return status.error();
  }
  return finish(std::move(made));
}

Result<ExpressionPtr> ExpressionParser::parse_test(ExpressionPtr subject) {
  const bool negated = tokens_.skip_name("not");
  const SourcePosition at = tokens_.peek().at;
  auto name = tokens_.take_name("the name of a test");
  if (!name) return name.error();
  Made made = make(ExpressionKind::kTest, at);
  made->test = find_value_test(*name);
  if (made->test == nullptr) {
    return error_at(at, ErrorCode::kUnsupported,
                    fmt::format("the test '{}' is not supported", printable(*name)));
  }
  made->name = std::move(*name);
  adopt(&made, std::move(subject));
  if (tokens_.at_symbol("(")) {
    if (Status status = parse_arguments(&made); !status) return status.error();
  } else if (made->test->takes_argument) {  // "x is divisibleby 3"
    // A primary, not an expression: in "x is divisibleby 3 and y" the `and` is not part of the
    // argument.
    auto argument = parse_primary();
    if (!argument) return argument.error();
    auto whole = parse_postfix(std::move(*argument));
    if (!whole) return whole.error();
    adopt(&made, std::move(*whole));
  }
  if (!negated) return finish(std::move(made));
  Made inverse = make(ExpressionKind::kNot, at);
  adopt(&inverse, std::move(made));
  return finish(std::move(inverse));
}

}  // namespace potluck
