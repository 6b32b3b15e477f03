// The parser's part for expressions, with the precedence that the template language has. Used by
// the statement parser on its token stream; one thread.
#pragma once

#include "engine/template/ast.h"
#include "engine/template/token_stream.h"

namespace potluck {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream* tokens) : tokens_(*tokens) {}

  // An expression; where commas follow, a tuple of them.
  Result<ExpressionPtr> parse_tuple();
  // An expression without commas around it.
  Result<ExpressionPtr> parse();
  // An expression that an `if` may follow which is not its own.
  Result<ExpressionPtr> parse_without_condition();
  // "name(..) | name(..) | ..", applied to `subject`.
  Result<ExpressionPtr> parse_filters(ExpressionPtr subject);
  // The same for a filter block, where the first filter has no bar and the subject is its text.
  Result<ExpressionPtr> parse_filter_chain(SourcePosition at);
  // Stands for the text of a block.
  static ExpressionPtr block_text(SourcePosition at);

 private:
  using Made = std::unique_ptr<Expression>;

  Result<ExpressionPtr> parse_or();
  Result<ExpressionPtr> parse_and();
  Result<ExpressionPtr> parse_not();
  Result<ExpressionPtr> parse_compare();
  Result<ExpressionPtr> parse_level(size_t level);
  Result<ExpressionPtr> parse_unary(bool with_filters);
  Result<ExpressionPtr> parse_primary();
  Result<ExpressionPtr> parse_name();
  Result<ExpressionPtr> parse_number();
  Result<ExpressionPtr> parse_string();
  Result<ExpressionPtr> parse_parentheses();
  Result<ExpressionPtr> parse_list();
  Result<ExpressionPtr> parse_dict();
  Result<ExpressionPtr> parse_postfix(ExpressionPtr subject);
  Result<ExpressionPtr> parse_attribute(ExpressionPtr subject);
  Result<ExpressionPtr> parse_subscript(ExpressionPtr subject);
  Result<ExpressionPtr> parse_call(ExpressionPtr callee);
  Result<ExpressionPtr> parse_filter(ExpressionPtr subject);
  Result<ExpressionPtr> parse_test(ExpressionPtr subject);
  Status parse_slice_part(Made* slice);
  Status parse_arguments(Made* call);

  static Made make(ExpressionKind kind, SourcePosition at);
  static void adopt(Made* parent, ExpressionPtr operand);
  static Result<ExpressionPtr> finish(Made made);
  Result<ExpressionPtr> pair(ExpressionKind kind, SourcePosition at, ExpressionPtr left,
                             ExpressionPtr right);

  TokenStream& tokens_;
  uint32_t nesting_ = 0;
};

}  // namespace potluck
