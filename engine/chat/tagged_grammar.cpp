#include "engine/chat/tagged_grammar.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/argument_types.h"
#include "engine/chat/call_grammar.h"
#include "engine/chat/call_mark.h"
#include "engine/grammar/schema_branches.h"
#include "engine/grammar/text_automaton.h"

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;
using Rule = GrammarBuilder::Rule;

// Alternatives within alternatives of one argument.
constexpr int kMostTagAlternatives = 8;

class TagDrawer {
 public:
  TagDrawer(const JsonValue& schema, const ToolCallSyntax& syntax, TaggedRules* tagged,
            JsonRules* rules, GrammarBuilder* builder)
      : schema_(schema),
        reader_(schema),
        syntax_(syntax),
        avoided_(CallMark(syntax.value_close).pieces().front()),
        tagged_(*tagged),
        builder_(*builder),
        json_(schema, {avoided_, false}, rules, builder) {}

  // Two tracks: nothing was written yet, or something, so that what parts two comes first.
  Result<Node> draw(Node nothing) {
    const SchemaSet set{{{&schema_, ""}}, {}};
    auto facts = reader_.read(set);
    if (!facts) return facts.error();
    if (!facts->branches.empty() || facts->values) {
      return Error{ErrorCode::kUnsupported,
                   "the chat template writes arguments one by one: alternatives for all of them "
                   "together are not supported"};
    }
    Node something = builder_.node();
    for (const std::string& name : facts->names()) {
      const Node next_nothing = builder_.node();
      const Node next_something = builder_.node();
      if (const auto value = facts->property(name)) {
        Status status = draw_tag(first_or_next(nothing, something), name, *value, next_something);
        if (!status) return status.error().in("properties." + name);
      }
      if (std::ranges::find(facts->required, name) == facts->required.end()) {
        builder_.jump(nothing, next_nothing);
        builder_.jump(something, next_something);
      }
      nothing = next_nothing;
      something = next_something;
    }
    const auto others = facts->additional();
    if (others && facts->names().empty()) {
      Status status = draw_others(first_or_next(nothing, something), *others, something);
      if (!status) return status.error();
    }
    const Node to = builder_.node();
    builder_.jump(nothing, to);
    builder_.jump(something, to);
    return to;
  }

 private:
  Node first_or_next(Node nothing, Node something) {
    const Node member = builder_.node();
    builder_.jump(nothing, member);
    draw_mark(syntax_.tag_separator, something, member, &builder_);
    return member;
  }

  Status draw_tag(Node from, const std::string& name, const SchemaSet& value, Node to) {
    if (name.find_first_of("<>\n\"") != std::string::npos || name.empty()) {
      return Error{ErrorCode::kUnsupported,
                   "the chat template writes names between marks, which this one would break"};
    }
    const Node opened = builder_.node();
    draw_mark(syntax_.key_open, from, opened, &builder_);
    const Node named = builder_.node();
    builder_.literal(opened, name, named);
    return draw_value(named, value, to, kMostTagAlternatives);
  }

  // Arguments that no schema names: any identifiers.
  Status draw_others(Node from, const SchemaSet& value, Node to) {
    const Node opened = builder_.node();
    draw_mark(syntax_.key_open, from, opened, &builder_);
    const Node named = builder_.node();
    for (const ByteInterval range : {ByteInterval{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}}) {
      builder_.bytes(opened, range, named);
      builder_.bytes(named, range, named);
    }
    return draw_value(named, value, to, kMostTagAlternatives);
  }

  Status draw_value(Node from, const SchemaSet& set, Node to, int depth) {
    auto facts = reader_.read(set);
    if (!facts) return facts.error();
    if (!facts->branches.empty()) {
      if (depth == 0) return Error{ErrorCode::kUnsupported, "too many alternatives in each other"};
      const SchemaFacts::Branches& group = facts->branches.front();
      for (const SchemaRef& branch : group.branches) {
        Status status = draw_value(from, with_branch(set, group, branch), to, depth - 1);
        if (!status) return status;
      }
      return {};
    }
    const uint32_t types = types_of_set(set, &reader_);
    if (syntax_.json_texts || (types & kStringType) == 0) return draw_json(from, set, to);
    const Node opened = builder_.node();
    draw_mark(syntax_.value_open, from, opened, &builder_);
    const Node closing = builder_.node();
    if (Status status = draw_text(opened, *facts, closing); !status) return status;
    draw_mark(syntax_.value_close, closing, to, &builder_);
    return {};
  }

  Status draw_json(Node from, const SchemaSet& set, Node to) {
    auto value = json_.draw(set);
    if (!value) return value.error();
    const std::string& open = syntax_.json_open.empty() ? syntax_.value_open : syntax_.json_open;
    const Node opened = builder_.node();
    draw_mark(open, from, opened, &builder_);
    const Node closing = builder_.node();
    builder_.call(opened, *value, closing);
    draw_mark(syntax_.value_close, closing, to, &builder_);
    return {};
  }

  // As it is: what the value's mark spells cannot stand in it.
  Status draw_text(Node from, const SchemaFacts& facts, Node to) {
    if (facts.values) {
      std::vector<std::string> texts;
      for (const JsonValue* value : *facts.values) {
        std::string text = value->text() != nullptr ? *value->text() : write_json(*value);
        if (text.find(avoided_) == std::string::npos) texts.push_back(std::move(text));
      }
      builder_.literals(from, std::move(texts), to);
      return {};
    }
    const bool is_counted =
        facts.least_characters > 0 || facts.most_characters != Grammar::kEndless;
    if (facts.texts.empty() && !is_counted) {
      if (!tagged_.text) {
        tagged_.text = builder_.rule("text between marks");
        draw_automaton(texts_without(avoided_), builder_.begin(*tagged_.text),
                       builder_.end(*tagged_.text));
      }
      builder_.call(from, *tagged_.text, to);
      return {};
    }
    TextAutomaton texts = texts_without(avoided_);
    std::vector<TextAutomaton> others = facts.texts;
    if (is_counted) {
      auto lengths = texts_of_length(facts.least_characters, facts.most_characters);
      if (!lengths) return lengths.error();
      others.push_back(std::move(*lengths));
    }
    for (const TextAutomaton& other : others) {
      auto both = intersection(texts, other, &pattern_work_);
      if (!both) return both.error();
      texts = std::move(*both);
    }
    draw_automaton(texts, from, to);
    return {};
  }

  void draw_automaton(const TextAutomaton& texts, Node from, Node to) {
    if (texts.states.empty()) return;
    std::vector<Node> states;
    for (size_t i = 0; i < texts.states.size(); ++i) states.push_back(builder_.node());
    builder_.jump(from, states[0]);
    for (size_t i = 0; i < texts.states.size(); ++i) {
      for (const TextAutomaton::Edge& edge : texts.states[i].edges) {
        builder_.character(states[i], edge.ranges, states[edge.to]);
      }
      if (texts.states[i].accepts) builder_.jump(states[i], to);
    }
  }

  const JsonValue& schema_;
  SchemaReader reader_;
  const ToolCallSyntax& syntax_;
  std::string avoided_;
  TaggedRules& tagged_;
  GrammarBuilder& builder_;
  JsonSchemaDrawer json_;
  uint64_t pattern_work_ = 0;
};

}  // namespace

Result<Node> draw_tagged_arguments(const JsonValue& schema, const ToolCallSyntax& syntax, Node from,
                                   TaggedRules* tagged, JsonRules* rules, GrammarBuilder* builder) {
  return TagDrawer(schema, syntax, tagged, rules, builder).draw(from);
}

}  // namespace potluck
