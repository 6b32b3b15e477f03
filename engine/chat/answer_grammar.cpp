#include "engine/chat/answer_grammar.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/uncertain_end.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/json_schema.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/text_automaton.h"
#include "engine/grammar/token_trie.h"

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;
using Rule = GrammarBuilder::Rule;

// White space that models write around marks; it belongs to no part of an answer.
constexpr uint32_t kMarkSpace = 4;

// As text, or as the control token of this name.
void draw_mark(std::string_view mark, Node from, Node to, GrammarBuilder* builder) {
  builder->literals(from, {std::string(mark), kControlByte + std::string(mark)}, to);
}

Rule draw_mark_space(GrammarBuilder* builder) {
  const Rule space = builder->rule("space around marks");
  const auto rounds = builder->repeat(builder->begin(space), 0, kMarkSpace, builder->end(space));
  builder->literals(rounds.begin, {" ", "\n"}, rounds.up);
  return space;
}

// Any text up to the first closing mark, and that.
Rule draw_reasoning(std::string_view close, GrammarBuilder* builder) {
  const Rule reasoning = builder->rule("reasoning");
  const TextAutomaton texts = texts_without(close);
  std::vector<Node> states;
  for (size_t i = 0; i < texts.states.size(); ++i) states.push_back(builder->node());
  builder->jump(builder->begin(reasoning), states[0]);
  for (size_t i = 0; i < texts.states.size(); ++i) {
    for (const TextAutomaton::Edge& edge : texts.states[i].edges) {
      builder->character(states[i], edge.ranges, states[edge.to]);
    }
    builder->literal(states[i], kControlByte + std::string(close), builder->end(reasoning));
  }
  // The last state has seen all but the last character, which leads nowhere yet.
  const TextAutomaton::State& end = texts.states.back();
  CodeRanges other = {};
  for (const TextAutomaton::Edge& edge : end.edges) {
    other.insert(other.end(), edge.ranges.begin(), edge.ranges.end());
  }
  builder->character(states.back(), complement(normalized(std::move(other))),
                     builder->end(reasoning));
  return reasoning;
}

class FormDrawer {
 public:
  FormDrawer(const AnswerSyntax& syntax, GrammarBuilder* builder)
      : syntax_(syntax), builder_(*builder) {}

  Result<Rule> operator()(const GbnfForm& form) const { return draw_gbnf(form.text, &builder_); }

  Result<Rule> operator()(const JsonForm& form) const {
    JsonRules rules;
    return draw_json_schema(form.schema, {"", form.is_object}, &rules, &builder_);
  }

  // {"name": .., "arguments": ..} between the marks; nothing in it spells the closing one.
  Result<Rule> operator()(const CallForm& form) const {
    if (!syntax_.calls) {
      return Error{ErrorCode::kUnsupported, "the chat template has no tool calls in a known form"};
    }
    const Rule body = builder_.rule("call");
    JsonRules rules;
    for (const CallForm::Function& function : form.functions) {
      Status status = draw_function(function, body, &rules);
      if (!status) return status.error().in("function '" + function.name + "'");
    }
    const Rule calls = builder_.rule("calls");
    const Rule space = draw_mark_space(&builder_);
    const Node first = draw_call(builder_.begin(calls), body, space);
    if (form.most <= 1) {
      builder_.jump(first, builder_.end(calls));
      return calls;
    }
    const auto more = builder_.repeat(first, 0, form.most - 1, builder_.end(calls));
    const Node next = builder_.node();
    builder_.call(more.begin, space, next);
    builder_.jump(draw_call(next, body, space), more.up);
    return calls;
  }

 private:
  Node draw_call(Node from, Rule body, Rule space) const {
    const Node opened = builder_.node();
    draw_mark(syntax_.calls->open, from, opened, &builder_);
    const Node begun = builder_.node();
    builder_.call(opened, space, begun);
    const Node ended = builder_.node();
    builder_.call(begun, body, ended);
    const Node closing = builder_.node();
    builder_.call(ended, space, closing);
    const Node closed = builder_.node();
    draw_mark(syntax_.calls->close, closing, closed, &builder_);
    return closed;
  }

  Status draw_function(const CallForm::Function& function, Rule body, JsonRules* rules) const {
    const std::string& avoided = syntax_.calls->close;
    static const JsonValue kAny{JsonValue::Object()};
    const JsonValue& schema = function.parameters.is_null() ? kAny : function.parameters;
    auto arguments = draw_json_schema(schema, {avoided, true}, rules, &builder_);
    if (!arguments) return arguments.error();
    const auto key = [&](const std::string& name) {
      return json_literal(JsonValue{name}, avoided);
    };
    const std::string head = fmt::format("{{{}: {}, {}: ", key(syntax_.calls->name_key),
                                         key(function.name), key(syntax_.calls->arguments_key));
    const Node named = builder_.node();
    builder_.literal(builder_.begin(body), head, named);
    const Node filled = builder_.node();
    builder_.call(named, *arguments, filled);
    builder_.literal(filled, "}", builder_.end(body));
    return {};
  }

  const AnswerSyntax& syntax_;
  GrammarBuilder& builder_;
};

// Entries in the order of AnswerEntry.
std::vector<Rule> draw_entries(Rule answer, const AnswerSyntax& syntax, GrammarBuilder* builder) {
  if (!syntax.reasoning) return {answer, answer, answer};
  const Rule reasoning = draw_reasoning(syntax.reasoning->close, builder);
  const Rule space = draw_mark_space(builder);
  const Rule after = builder->rule("answer after reasoning");
  const Node thought = builder->node();
  builder->call(builder->begin(after), reasoning, thought);
  const Node spaced = builder->node();
  builder->call(thought, space, spaced);
  builder->call(spaced, answer, builder->end(after));

  const Rule either = builder->rule("answer or reasoning");
  builder->call(builder->begin(either), answer, builder->end(either));
  const Node begun = builder->node();
  builder->call(builder->begin(either), space, begun);
  const Node opened = builder->node();
  draw_mark(syntax.reasoning->open, begun, opened, builder);
  builder->call(opened, after, builder->end(either));
  return {answer, after, either};
}

}  // namespace

Result<std::shared_ptr<const Grammar>> make_answer_grammar(const AnswerForm& form,
                                                           const AnswerSyntax& syntax) {
  GrammarBuilder builder;
  auto answer = std::visit(FormDrawer(syntax, &builder), form);
  if (!answer) return answer.error();
  const bool is_gbnf = std::holds_alternative<GbnfForm>(form);
  auto grammar = builder.finish(draw_entries(*answer, syntax, &builder),
                                is_gbnf ? limits::kGrammarDepth : limits::kJsonGrammarDepth);
  if (!grammar) return grammar.error();
  return std::make_shared<const Grammar>(std::move(*grammar));
}

AnswerEntry answer_entry(const AnswerSyntax& syntax, std::string_view prompt) {
  if (!syntax.reasoning) return AnswerEntry::kAnswer;
  const std::string_view end = without_space_at_end(prompt);
  if (end.ends_with(syntax.reasoning->open)) return AnswerEntry::kReasoning;
  // Templates that close an empty reasoning ask for none.
  if (end.ends_with(syntax.reasoning->close)) return AnswerEntry::kAnswer;
  return AnswerEntry::kEither;
}

std::vector<std::string> answer_marks(const AnswerSyntax& syntax) {
  std::vector<std::string> marks;
  if (syntax.reasoning) {
    marks.emplace_back(syntax.reasoning->open);
    marks.emplace_back(syntax.reasoning->close);
  }
  if (syntax.calls) {
    marks.push_back(syntax.calls->open);
    marks.push_back(syntax.calls->close);
  }
  return marks;
}

}  // namespace potluck
