#include "engine/chat/answer_grammar.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/channels.h"
#include "engine/chat/uncertain_end.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/json_schema.h"
#include "engine/grammar/text_automaton.h"
#include "engine/grammar/token_trie.h"

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;
using Rule = GrammarBuilder::Rule;

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

  Result<Rule> operator()(const CallForm& form) const {
    if (syntax_.has_channels) return draw_channel_call(form, &builder_);
    if (syntax_.calls) return draw_calls(form, *syntax_.calls, &builder_);
    return Error{ErrorCode::kUnsupported, "the chat template has no tool calls in a known form"};
  }

 private:
  const AnswerSyntax& syntax_;
  GrammarBuilder& builder_;
};

// A message for the user, or to a function, after messages with the reasoning.
std::vector<Rule> draw_channels(Rule answer, bool is_call, GrammarBuilder* builder) {
  const Rule message = is_call ? answer : builder->rule("message");
  if (!is_call) {
    const Node begun = builder->node();
    draw_mark(fmt::format("{}final{}", channels::kChannel, channels::kMessage),
              builder->begin(message), begun, builder);
    builder->call(begun, answer, builder->end(message));
  }
  const Rule reasoning = draw_reasoning(channels::kEnd, builder);
  const Rule after = builder->rule("message after reasoning");
  const Node thought = builder->node();
  builder->call(builder->begin(after), reasoning, thought);
  const Node started = builder->node();
  draw_mark(fmt::format("{}assistant", channels::kStart), thought, started, builder);
  builder->call(started, message, builder->end(after));

  const Rule either = builder->rule("message or reasoning");
  builder->call(builder->begin(either), message, builder->end(either));
  const Node opened = builder->node();
  draw_mark(fmt::format("{}analysis{}", channels::kChannel, channels::kMessage),
            builder->begin(either), opened, builder);
  builder->call(opened, after, builder->end(either));
  return {answer, after, either};
}

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
  const bool is_call = std::holds_alternative<CallForm>(form);
  auto grammar = builder.finish(syntax.has_channels ? draw_channels(*answer, is_call, &builder)
                                                    : draw_entries(*answer, syntax, &builder),
                                is_gbnf ? limits::kGrammarDepth : limits::kJsonGrammarDepth);
  if (!grammar) return grammar.error();
  return std::make_shared<const Grammar>(std::move(*grammar));
}

AnswerEntry answer_entry(const AnswerSyntax& syntax, std::string_view prompt) {
  const std::string_view end = without_space_at_end(prompt);
  if (syntax.has_channels) {
    if (!end.ends_with(channels::kMessage)) return AnswerEntry::kEither;
    const size_t channel = end.rfind(channels::kChannel);
    const bool reasons = channel != std::string_view::npos &&
                         end.substr(channel + channels::kChannel.size()).starts_with("analysis");
    return reasons ? AnswerEntry::kReasoning : AnswerEntry::kAnswer;
  }
  if (!syntax.reasoning) return AnswerEntry::kAnswer;
  if (end.ends_with(syntax.reasoning->open)) return AnswerEntry::kReasoning;
  // Templates that close an empty reasoning ask for none.
  if (end.ends_with(syntax.reasoning->close)) return AnswerEntry::kAnswer;
  return AnswerEntry::kEither;
}

}  // namespace potluck
