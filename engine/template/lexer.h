// Lexer of the template language: cuts a template into text, tags and what stands in them. White
// space around tags is treated as chat templates expect it: the newline after a statement goes, and
// so does indentation before one. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/template/source_position.h"

namespace potluck {

enum class Lexeme {
  kText,        // between tags
  kPrintBegin,  // {{
  kPrintEnd,    // }}
  kTagBegin,    // {%
  kTagEnd,      // %}
  kName,
  kString,  // escapes are resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct TemplateToken {
  Lexeme kind = Lexeme::kEnd;
  std::string text;
  SourcePosition at;
};

// The last token is kEnd. `source` must be UTF-8.
Result<std::vector<TemplateToken>> tokenize_template(std::string_view source);

}  // namespace potluck
