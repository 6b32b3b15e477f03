#include "engine/chat/call_grammar.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/call_mark.h"
#include "engine/chat/channels.h"
#include "engine/chat/tagged_grammar.h"
#include "engine/chat/uncertain_end.h"
#include "engine/grammar/json_schema.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/token_trie.h"

namespace potluck {
namespace {

using Kind = CallPart::Kind;
using Node = GrammarBuilder::Node;
using Rule = GrammarBuilder::Rule;

constexpr uint32_t kMarkSpace = 4;
constexpr int kIdCharacters = 9;

const JsonValue& schema_of(const CallForm::Function& function) {
  static const JsonValue kAny{JsonValue::Object()};
  return function.parameters.is_null() ? kAny : function.parameters;
}

// The name in brackets that a reader of the call would take for its end.
std::string closing_name(const ToolCallSyntax& syntax) {
  for (const std::string* text : {&syntax.parts.back().text, &syntax.end}) {
    for (const MarkPiece& piece : mark_pieces(*text)) {
      std::string name = text->substr(piece.begin, piece.end - piece.begin);
      if (is_bracketed(name)) return name;
    }
  }
  return {};
}

class CallDrawer {
 public:
  CallDrawer(const ToolCallSyntax& syntax, GrammarBuilder* builder)
      : syntax_(syntax), avoided_(closing_name(syntax)), builder_(*builder) {}

  Result<Rule> draw(const CallForm& form) {
    space_ = draw_mark_space(&builder_);
    const Rule call = builder_.rule("call");
    if (Status status = draw_call(form, call); !status) return status.error();
    const Rule calls = builder_.rule("calls");
    // A mark in front of bare calls is one that may be left out.
    const Node begun = marked(builder_.begin(calls), syntax_.bare ? "" : syntax_.begin);
    const Node first = builder_.node();
    builder_.call(begun, call, first);
    const Node done = builder_.node();
    if (form.most > 1) {
      const auto more = builder_.repeat(first, 0, form.most - 1, done);
      const Node next = builder_.node();
      draw_separator(more.begin, next);
      builder_.call(next, call, more.up);
    } else {
      builder_.jump(first, done);
    }
    builder_.jump(marked(done, syntax_.end), builder_.end(calls));
    return calls;
  }

 private:
  Node marked(Node from, std::string_view mark) {
    const Node to = builder_.node();
    draw_mark(mark, from, to, &builder_);
    return to;
  }
  Node spaced(Node from) {
    const Node to = builder_.node();
    builder_.call(from, space_, to);
    return to;
  }

  void draw_separator(Node from, Node to) {
    if (CallMark(syntax_.separator).empty()) {
      builder_.call(from, space_, to);
    } else {
      draw_mark(syntax_.separator, from, to, &builder_);
    }
  }

  // What is the same for all functions is drawn once.
  Status draw_call(const CallForm& form, Rule call) {
    Node from = builder_.begin(call);
    size_t part = 0;
    while (syntax_.parts[part].kind != Kind::kName && syntax_.parts[part].kind != Kind::kObject) {
      from = draw_common(syntax_.parts[part++], from);
    }
    size_t behind = part;
    while (!is_arguments(syntax_.parts[behind++].kind)) {
    }
    const Node filled = builder_.node();
    for (const CallForm::Function& function : form.functions) {
      Status status = draw_function(function, part, behind, from, filled);
      if (!status) return status.error().in("function '" + function.name + "'");
    }
    Node to = filled;
    for (; behind < syntax_.parts.size(); ++behind) {
      // Calls without arguments between tags leave out what stands behind those.
      const std::string& mark = syntax_.parts[behind].text;
      const bool may_lack_space = syntax_.parts[behind - 1].kind == Kind::kTagged;
      const size_t first = std::min(mark.find_first_not_of(kWhiteSpace), mark.size());
      if (may_lack_space && first > 0) {
        const Node spaced = builder_.node();
        builder_.literal(to, mark.substr(0, first), spaced);
        builder_.jump(to, spaced);
        to = marked(spaced, mark.substr(first));
      } else {
        to = draw_common(syntax_.parts[behind], to);
      }
    }
    builder_.jump(to, builder_.end(call));
    return {};
  }

  static bool is_arguments(Kind kind) {
    return kind == Kind::kObject || kind == Kind::kArguments || kind == Kind::kTagged;
  }

  Node draw_common(const CallPart& part, Node from) {
    switch (part.kind) {
      case Kind::kId:
        for (int i = 0; i < kIdCharacters; ++i) from = one_of_id(from);
        return from;
      case Kind::kNumber: {
        const Node one = digit(from);
        const Node two = digit(one);
        builder_.jump(one, two);
        return two;
      }
      default:
        return marked(from, part.text);
    }
  }

  Node digit(Node from) {
    const Node to = builder_.node();
    builder_.bytes(from, {'0', '9'}, to);
    return to;
  }
  Node one_of_id(Node from) {
    const Node to = builder_.node();
    for (const ByteInterval range : {ByteInterval{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}) {
      builder_.bytes(from, range, to);
    }
    return to;
  }

  Status draw_function(const CallForm::Function& function, size_t part, size_t end, Node from,
                       Node to) {
    for (; part < end; ++part) {
      switch (syntax_.parts[part].kind) {
        case Kind::kName: {
          const Node named = builder_.node();
          builder_.literal(from, function.name, named);
          from = named;
          break;
        }
        case Kind::kObject: {
          auto drawn = draw_object(function, spaced(from));
          if (!drawn) return drawn.error();
          from = spaced(*drawn);
          break;
        }
        case Kind::kArguments: {
          auto drawn = draw_schema(function, from);
          if (!drawn) return drawn.error();
          from = *drawn;
          break;
        }
        case Kind::kTagged: {
          auto drawn = draw_tagged_arguments(schema_of(function), syntax_, from, &tagged_, &rules_,
                                             &builder_);
          if (!drawn) return drawn.error();
          from = *drawn;
          break;
        }
        default:
          from = draw_common(syntax_.parts[part], from);
      }
    }
    builder_.jump(from, to);
    return {};
  }

  Result<Node> draw_schema(const CallForm::Function& function, Node from) {
    auto arguments = draw_json_schema(schema_of(function), {avoided_, true}, &rules_, &builder_);
    if (!arguments) return arguments.error();
    const Node to = builder_.node();
    builder_.call(from, *arguments, to);
    return to;
  }

  std::string text(const std::string& name) const {
    return json_literal(JsonValue{name}, avoided_);
  }

  // {"name": .., "arguments": ..}, in the order of the template; or {NAME: ..}.
  Result<Node> draw_object(const CallForm::Function& function, Node from) {
    const std::string name = syntax_.name_key.empty()
                                 ? std::string()
                                 : text(syntax_.name_key) + ": " + text(function.name);
    std::string head = "{" + text(syntax_.arguments_key) + ": ";
    std::string tail = "}";
    if (name.empty()) {
      head = "{" + text(function.name) + ": ";
    } else if (syntax_.arguments_first) {
      tail = ", " + name + "}";
    } else {
      head = "{" + name + ", " + head.substr(1);
    }
    const Node named = builder_.node();
    builder_.literal(from, head, named);
    auto filled = draw_schema(function, named);
    if (!filled) return filled.error();
    const Node to = builder_.node();
    const Node closing = syntax_.id_key.empty() ? *filled : optional_id(*filled);
    builder_.literal(closing, tail, to);
    return to;
  }

  Node optional_id(Node from) {
    const Node opened = builder_.node();
    builder_.literal(from, ", " + text(syntax_.id_key) + ": \"", opened);
    const Node written = draw_common({Kind::kId}, opened);
    const Node to = builder_.node();
    builder_.literal(written, "\"", to);
    builder_.jump(from, to);
    return to;
  }

  const ToolCallSyntax& syntax_;
  std::string avoided_;
  GrammarBuilder& builder_;
  JsonRules rules_;
  TaggedRules tagged_;
  Rule space_ = 0;
};

}  // namespace

Result<Rule> draw_calls(const CallForm& form, const ToolCallSyntax& syntax,
                        GrammarBuilder* builder) {
  return CallDrawer(syntax, builder).draw(form);
}

// The recipient stands behind the role or behind the channel; models write both.
Result<Rule> draw_channel_call(const CallForm& form, GrammarBuilder* builder) {
  const Rule call = builder->rule("call");
  JsonRules rules;
  for (const CallForm::Function& function : form.functions) {
    auto arguments = draw_json_schema(schema_of(function), {"", true}, &rules, builder);
    if (!arguments) return arguments.error().in("function '" + function.name + "'");
    const std::string recipient = fmt::format("to={}{}", channels::kFunctions, function.name);
    const Node begun = builder->node();
    for (const std::string_view constrain : {channels::kConstrain, std::string_view()}) {
      const std::string type = fmt::format(" {}json{}", constrain, channels::kMessage);
      draw_mark(fmt::format("{}commentary {}{}", channels::kChannel, recipient, type),
                builder->begin(call), begun, builder);
      draw_mark(fmt::format(" {}{}commentary{}", recipient, channels::kChannel, type),
                builder->begin(call), begun, builder);
    }
    builder->call(begun, *arguments, builder->end(call));
  }
  return call;
}

void draw_mark(std::string_view mark, Node from, Node to, GrammarBuilder* builder) {
  size_t done = 0;
  const auto draw_plain = [&](size_t end) {
    if (end == done) return;
    const Node next = builder->node();
    builder->literal(from, mark.substr(done, end - done), next);
    from = next;
    done = end;
  };
  for (const MarkPiece& piece : mark_pieces(mark)) {
    const std::string name(mark.substr(piece.begin, piece.end - piece.begin));
    if (!is_bracketed(name)) continue;
    draw_plain(piece.begin);
    const Node next = builder->node();
    builder->literals(from, {name, kControlByte + name}, next);
    from = next;
    done = piece.end;
  }
  draw_plain(mark.size());
  builder->jump(from, to);
}

Rule draw_mark_space(GrammarBuilder* builder) {
  const Rule space = builder->rule("space around marks");
  const auto rounds = builder->repeat(builder->begin(space), 0, kMarkSpace, builder->end(space));
  builder->literals(rounds.begin, {" ", "\n"}, rounds.up);
  return space;
}

}  // namespace potluck
