// The tokens of a template under the parser's eye. Belongs to one parser.
#pragma once

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/printable.h"
#include "engine/template/lexer.h"

namespace potluck {

class TokenStream {
 public:
  explicit TokenStream(std::vector<TemplateToken> tokens) : tokens_(std::move(tokens)) {}

  // The last token, kEnd, is never passed.
  const TemplateToken& peek(size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  const TemplateToken& take() {
    const TemplateToken& taken = peek();
    next_ = std::min(next_ + 1, tokens_.size() - 1);
    return taken;
  }

  bool at(Lexeme kind) const { return peek().kind == kind; }
  bool at_name(std::string_view name) const { return at(Lexeme::kName) && peek().text == name; }
  bool at_symbol(std::string_view symbol) const {
    return at(Lexeme::kOperator) && peek().text == symbol;
  }
  bool skip_name(std::string_view name) { return skip_if(at_name(name)); }
  bool skip_symbol(std::string_view symbol) { return skip_if(at_symbol(symbol)); }

  Status expect_symbol(std::string_view symbol) {
    if (skip_symbol(symbol)) return {};
    return unexpected(fmt::format("'{}'", symbol));
  }
  Status expect_name(std::string_view name) {
    if (skip_name(name)) return {};
    return unexpected(fmt::format("'{}'", name));
  }
  Status expect(Lexeme kind, const char* what) {
    if (!at(kind)) return unexpected(what);
    take();
    return {};
  }
  Result<std::string> take_name(const char* what) {
    if (!at(Lexeme::kName)) return unexpected(what);
    return take().text;
  }

  Error unexpected(const std::string& expected) const {
    return error_at(peek().at, ErrorCode::kCorrupt,
                    fmt::format("expected {}, found {}", expected, describe(peek())));
  }

 private:
  bool skip_if(bool matches) {
    if (matches) take();
    return matches;
  }

  static std::string describe(const TemplateToken& token) {
    switch (token.kind) {
      case Lexeme::kText:
        return "text";
      case Lexeme::kPrintBegin:
        return "'{{'";
      case Lexeme::kPrintEnd:
        return "'}}'";
      case Lexeme::kTagBegin:
        return "'{%'";
      case Lexeme::kTagEnd:
        return "'%}'";
      case Lexeme::kString:
        return "a string";
      case Lexeme::kEnd:
        return "the end of the template";
      default:
        return fmt::format("'{}'", printable(token.text));
    }
  }

  std::vector<TemplateToken> tokens_;
  size_t next_ = 0;
};

}  // namespace potluck
