// Recursive descent over statements. A block ends at a tag that closes something; the statement
// that opened the block checks that it is the right one.
#include "engine/template/parser.h"

#include "engine/base/limits.h"
#include "engine/template/expression_parser.h"
#include "engine/template/lexer.h"
#include "engine/template/token_stream.h"

namespace potluck {
namespace {

class TemplateParser {
 public:
  explicit TemplateParser(std::vector<TemplateToken> tokens)
      : tokens_(std::move(tokens)), expressions_(&tokens_) {}

  Result<Block> run() {
    auto block = parse_block({});
    if (!block) return block.error();
    if (!tokens_.at(Lexeme::kEnd)) {
      return error_at(tokens_.peek(1).at, ErrorCode::kCorrupt,
                      fmt::format("'{}' closes nothing", printable(tokens_.peek(1).text)));
    }
    return block;
  }

 private:
  using Made = std::unique_ptr<Statement>;
  using Parsed = Result<Made>;

  static Made make(StatementKind kind, SourcePosition at) {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->at = at;
    return made;
  }

  static bool is_closing(std::string_view name) {
    return name.starts_with("end") || name == "else" || name == "elif";
  }

  // Statements up to a tag that closes something, which is left where it is. `opener` names the
  // statement that the block belongs to, for the message when the template ends first.
  Result<Block> parse_block(std::string_view opener) {
    // The parser recurses here, and so does everything that walks the tree later.
    if (++nesting_ > limits::kTemplateDepth) {
      return error_at(tokens_.peek().at, ErrorCode::kLimit,
                      fmt::format("statements nest deeper than {}", limits::kTemplateDepth));
    }
    Block block;
    while (!tokens_.at(Lexeme::kEnd)) {
      // Left where it is: only the statement that opened the block knows whether it is the right
      // one.
      if (tokens_.at(Lexeme::kTagBegin) && is_closing(tokens_.peek(1).text)) break;
      Parsed statement = parse_next();
      if (!statement) return statement.error();
      block.push_back(std::move(*statement));
    }
    if (tokens_.at(Lexeme::kEnd) && !opener.empty()) {
      return tokens_.unexpected(fmt::format("the end of '{}'", opener));
    }
    --nesting_;
    return block;
  }

  Parsed parse_next() {
    const TemplateToken& token = tokens_.peek();
    if (token.kind == Lexeme::kText) {
      Made made = make(StatementKind::kText, token.at);
      made->text =
          std::make_shared<const MarkedText>(tokens_.take().text, Trust::kTemplate, nullptr);
      return made;
    }
    if (token.kind == Lexeme::kPrintBegin) {
      Made made = make(StatementKind::kPrint, tokens_.take().at);
      if (Status status = read_expression(&made->expression); !status) return status.error();
      Status end = tokens_.expect(Lexeme::kPrintEnd, "'}}'");
      return end ? Parsed(std::move(made)) : Parsed(end.error());
    }
    tokens_.take();
    return parse_tag();
  }

  Parsed parse_tag() {
    const SourcePosition at = tokens_.peek().at;
    auto name = tokens_.take_name("the name of a statement");
    if (!name) return name.error();
    if (*name == "if") return parse_if(at);
    if (*name == "for") return parse_for(at);
    if (*name == "set") return parse_set(at);
    if (*name == "macro") return parse_macro(at);
    if (*name == "filter") return parse_filter_block(at);
    if (*name == "generation") return parse_generation(at);
    if (*name == "break") return parse_jump(StatementKind::kBreak, at);
    if (*name == "continue") return parse_jump(StatementKind::kContinue, at);
    return error_at(at, ErrorCode::kUnsupported,
                    fmt::format("the statement '{}' is not supported", printable(*name)));
  }

  Status read_expression(ExpressionPtr* into) {
    auto parsed = expressions_.parse_tuple();
    if (!parsed) return parsed.error();
    *into = std::move(*parsed);
    return {};
  }

  Status end_tag() { return tokens_.expect(Lexeme::kTagEnd, "'%}'"); }

  // The rest of the tag, then its statements.
  Status read_body(std::string_view opener, Block* into) {
    if (Status status = end_tag(); !status) return status;
    auto block = parse_block(opener);
    if (!block) return block.error();
    *into = std::move(*block);
    return {};
  }

  // Takes "{% name" of the tag that has ended a block.
  bool skip_tag(std::string_view name) {
    if (!tokens_.at(Lexeme::kTagBegin) || tokens_.peek(1).text != name) return false;
    tokens_.take();
    tokens_.take();
    return true;
  }

  Status close(std::string_view name) {
    if (skip_tag(name)) return end_tag();
    return error_at(
        tokens_.peek(1).at, ErrorCode::kCorrupt,
        fmt::format("expected '{}', found '{}'", name, printable(tokens_.peek(1).text)));
  }

  Status read_otherwise(std::string_view opener, Block* into) {
    return skip_tag("else") ? read_body(opener, into) : Status();
  }

  Parsed parse_if(SourcePosition at) {
    Made made = make(StatementKind::kIf, at);
    do {
      Branch& branch = made->branches.emplace_back();
      if (Status status = read_expression(&branch.condition); !status) return status.error();
      if (Status status = read_body("if", &branch.body); !status) return status.error();
    } while (skip_tag("elif"));
    if (Status status = read_otherwise("if", &made->otherwise); !status) return status.error();
    if (Status status = close("endif"); !status) return status.error();
    return made;
  }

  Status read_targets(std::vector<std::string>* targets) {
    const bool parenthesized = tokens_.skip_symbol("(");
    do {
      auto name = tokens_.take_name("the name of a variable");
      if (!name) return name.error();
      targets->push_back(std::move(*name));
    } while (tokens_.skip_symbol(","));
    return parenthesized ? tokens_.expect_symbol(")") : Status();
  }

  Parsed parse_for(SourcePosition at) {
    Made made = make(StatementKind::kFor, at);
    if (Status status = read_targets(&made->targets); !status) return status.error();
    if (Status status = tokens_.expect_name("in"); !status) return status.error();
    auto items = expressions_.parse_without_condition();
    if (!items) return items.error();
    made->expression = std::move(*items);
    if (tokens_.skip_name("if")) {
      auto condition = expressions_.parse();
      if (!condition) return condition.error();
      made->condition = std::move(*condition);
    }
    if (tokens_.at_name("recursive")) {
      return error_at(tokens_.peek().at, ErrorCode::kUnsupported,
                      "recursive loops are not supported");
    }
    ++loops_;
    if (Status status = read_body("for", &made->body); !status) return status.error();
    --loops_;
    if (Status status = read_otherwise("for", &made->otherwise); !status) return status.error();
    if (Status status = close("endfor"); !status) return status.error();
    return made;
  }

  Parsed parse_set(SourcePosition at) {
    Made made = make(StatementKind::kSet, at);
    if (Status status = read_targets(&made->targets); !status) return status.error();
    if (made->targets.size() == 1 && tokens_.skip_symbol(".")) {
      auto attribute = tokens_.take_name("the name of an attribute");
      if (!attribute) return attribute.error();
      made->attribute = std::move(*attribute);
    }
    if (tokens_.skip_symbol("=")) {
      if (Status status = read_expression(&made->expression); !status) return status.error();
      if (Status status = end_tag(); !status) return status.error();
      return made;
    }
    if (made->targets.size() > 1) return tokens_.unexpected("'='");
    made->kind = StatementKind::kSetBlock;
    auto filters = expressions_.parse_filters(ExpressionParser::block_text(at));
    if (!filters) return filters.error();
    made->expression = std::move(*filters);
    if (Status status = read_body("set", &made->body); !status) return status.error();
    if (Status status = close("endset"); !status) return status.error();
    return made;
  }

  Status read_parameters(std::vector<Parameter>* parameters) {
    if (Status status = tokens_.expect_symbol("("); !status) return status;
    while (!tokens_.skip_symbol(")")) {
      if (!parameters->empty()) {
        if (Status status = tokens_.expect_symbol(","); !status) return status;
        if (tokens_.skip_symbol(")")) break;
      }
      auto name = tokens_.take_name("the name of a parameter");
      if (!name) return name.error();
      Parameter& parameter = parameters->emplace_back();
      parameter.name = std::move(*name);
      if (!tokens_.skip_symbol("=")) continue;
      auto otherwise = expressions_.parse();
      if (!otherwise) return otherwise.error();
      parameter.otherwise = std::move(*otherwise);
    }
    return {};
  }

  Parsed parse_macro(SourcePosition at) {
    Made made = make(StatementKind::kMacro, at);
    auto name = tokens_.take_name("the name of a macro");
    if (!name) return name.error();
    made->targets.push_back(std::move(*name));
    if (Status status = read_parameters(&made->parameters); !status) return status.error();
    // A macro runs where it is called, so a `break` in it cannot leave the loop around its
    // definition.
    const uint32_t loops_around = std::exchange(loops_, 0);
    if (Status status = read_body("macro", &made->body); !status) return status.error();
    loops_ = loops_around;
    if (Status status = close("endmacro"); !status) return status.error();
    return made;
  }

  Parsed parse_filter_block(SourcePosition at) {
    Made made = make(StatementKind::kFilterBlock, at);
    // Here the first filter has no bar in front.
    auto filters = expressions_.parse_filter_chain(at);
    if (!filters) return filters.error();
    made->expression = std::move(*filters);
    if (Status status = read_body("filter", &made->body); !status) return status.error();
    if (Status status = close("endfilter"); !status) return status.error();
    return made;
  }

  Parsed parse_generation(SourcePosition at) {
    Made made = make(StatementKind::kScope, at);
    if (Status status = read_body("generation", &made->body); !status) return status.error();
    if (Status status = close("endgeneration"); !status) return status.error();
    return made;
  }

  Parsed parse_jump(StatementKind kind, SourcePosition at) {
    // Checked here, so the interpreter never carries a `break` out of a macro or the template.
    if (loops_ == 0) {
      return error_at(at, ErrorCode::kCorrupt, "'break' and 'continue' belong into a loop");
    }
    if (Status status = end_tag(); !status) return status.error();
    return make(kind, at);
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  uint32_t nesting_ = 0;
  uint32_t loops_ = 0;  // around the statement, in the same macro
};

}  // namespace

Result<Block> parse_template(std::string_view source) {
  auto tokens = tokenize_template(source);
  if (!tokens) return tokens.error();
  return TemplateParser(std::move(*tokens)).run();
}

}  // namespace potluck
