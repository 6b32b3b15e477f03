#include "engine/grammar/json_schema.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/schema_branches.h"
#include "engine/grammar/schema_facts.h"

namespace potluck {
namespace {

using Node = GrammarBuilder::Node;
using Rule = GrammarBuilder::Rule;

constexpr uint32_t kIndentation = 24;

Error unsupported(const std::string& path, std::string_view message) {
  return {ErrorCode::kInvalidArgument,
          path.empty() ? std::string(message) : fmt::format("{}: {}", path, message)};
}

const std::string& path_of(const SchemaSet& set) {
  static const std::string kRoot;
  return set.schemas.empty() ? kRoot : set.schemas.back().path;
}

class SchemaDrawer {
 public:
  SchemaDrawer(const JsonValue& root, JsonSchemaOptions options, JsonRules* rules,
               GrammarBuilder* builder)
      : reader_(root), options_(std::move(options)), shared_(*rules), builder_(*builder) {}

  Result<Rule> draw(SchemaSet set) {
    if (!shared_.space) shared_.space = draw_json_space(&builder_);
    if (options_.is_object) set.schemas.push_back({&object_schema_, ""});
    const Rule root = rule(set);
    // Rules are drawn one after the other, not within each other: schemas may nest as they like.
    while (!waiting_.empty() && !builder_.is_full()) {
      Waiting next = std::move(waiting_.back());
      waiting_.pop_back();
      Status status = draw_set(next.set, next.rule);
      if (!status) return status.error();
    }
    return root;
  }

 private:
  struct Waiting {
    SchemaSet set;
    Rule rule;
  };

  // The rule of a set, which is drawn later.
  Rule rule(const SchemaSet& set) {
    const auto [found, is_new] = rules_.try_emplace(set.key());
    if (is_new) {
      found->second = builder_.rule(fmt::format("schema {}", path_of(set)));
      waiting_.push_back({set, found->second});
    }
    return found->second;
  }

  Status draw_set(const SchemaSet& set, Rule rule) {
    auto facts = reader_.read(set);
    if (!facts) return facts.error();
    const Node from = builder_.begin(rule);
    const Node to = builder_.end(rule);
    if (!facts->branches.empty()) return draw_branches(set, facts->branches.front(), from, to);
    if (facts->values) return draw_values(set, *facts, from, to);
    const uint32_t types = facts->drawn_types();
    if ((types & kNullType) != 0) builder_.literal(from, "null", to);
    if ((types & kBooleanType) != 0) builder_.literals(from, {"false", "true"}, to);
    if ((types & kNumberTypes) != 0) {
      if (Status status = draw_number(*facts, types, from, to); !status) return status;
    }
    if ((types & kStringType) != 0) {
      if (Status status = draw_string(set, *facts, from, to); !status) return status;
    }
    if ((types & kArrayType) != 0) draw_array(*facts, from, to);
    if ((types & kObjectType) != 0) return draw_object(set, *facts, from, to);
    return {};
  }

  Status draw_branches(const SchemaSet& set, const SchemaFacts::Branches& group, Node from,
                       Node to) {
    branches_ += group.branches.size();
    if (branches_ > limits::kSchemaBranches) {
      return unsupported(group.path,
                         fmt::format("more than {} alternatives in all", limits::kSchemaBranches));
    }
    if (group.exclusive) {
      if (Status status = check_exclusive(reader_, set, group); !status) return status;
    }
    for (const SchemaRef& branch : group.branches) {
      builder_.call(from, rule(with_branch(set, group, branch)), to);
    }
    return {};
  }

  Status draw_values(const SchemaSet& set, const SchemaFacts& facts, Node from, Node to) {
    std::vector<std::string> texts;
    for (const JsonValue* value : *facts.values) {
      const auto allowed = facts.allows(*value);
      if (!allowed) {
        return unsupported(path_of(set),
                           "enum and const of such values beside other keywords are not supported");
      }
      if (*allowed) texts.push_back(json_literal(*value, options_.avoided));
    }
    builder_.literals(from, std::move(texts), to);
    return {};
  }

  Status draw_number(const SchemaFacts& facts, uint32_t types, Node from, Node to) {
    const bool is_whole = (types & kFractionType) == 0;
    if (!is_whole && !facts.inexact.empty()) {
      return unsupported(facts.inexact,
                         "bounds of numbers must be whole, and those that exclude at most 10^9");
    }
    const NumberRange& range = is_whole ? facts.whole_range : facts.range;
    if (range.low || range.high) {
      draw_json_number(range, is_whole, from, to, &builder_);
      return {};
    }
    std::optional<Rule>& shared = is_whole ? shared_.whole_number : shared_.number;
    if (!shared) {
      shared = builder_.rule("number");
      draw_json_number({}, is_whole, builder_.begin(*shared), builder_.end(*shared), &builder_);
    }
    builder_.call(from, *shared, to);
    return {};
  }

  Rule any_string() {
    std::optional<Rule>& shared = shared_.string;
    if (!shared) {
      shared = builder_.rule("string");
      draw_json_string(0, Grammar::kEndless, options_.avoided, builder_.begin(*shared),
                       builder_.end(*shared), &builder_);
    }
    return *shared;
  }

  Status draw_string(const SchemaSet& set, const SchemaFacts& facts, Node from, Node to) {
    const uint32_t least = facts.least_characters;
    const uint32_t most = facts.most_characters;
    if (least > most) return {};
    const bool is_counted = least > 0 || most != Grammar::kEndless;
    if (facts.texts.empty() && !is_counted) {
      builder_.call(from, any_string(), to);
      return {};
    }
    if (facts.texts.empty()) {
      const Rule counted = builder_.rule("string");
      draw_json_string(least, most, options_.avoided, builder_.begin(counted),
                       builder_.end(counted), &builder_);
      builder_.call(from, counted, to);
      return {};
    }
    TextAutomaton texts = facts.texts.front();
    for (size_t i = 1; i < facts.texts.size(); ++i) {
      if (Status status = narrow(&texts, facts.texts[i]); !status) return in(set, status);
    }
    if (is_counted) {
      auto lengths = texts_of_length(least, most);
      if (!lengths) return in(set, lengths.error());
      if (Status status = narrow(&texts, *lengths); !status) return in(set, status);
    }
    return draw_texts(set, std::move(texts), from, to);
  }

  static Status in(const SchemaSet& set, const Status& status) {
    return unsupported(path_of(set), status.error().message);
  }
  Status narrow(TextAutomaton* texts, const TextAutomaton& to) {
    pattern_work_ += to.states.size();
    auto both = intersection(*texts, to, &pattern_work_);
    if (!both) return both.error();
    *texts = std::move(*both);
    return {};
  }

  Status draw_texts(const SchemaSet& set, TextAutomaton texts, Node from, Node to) {
    if (!options_.avoided.empty()) {
      if (Status status = narrow(&texts, texts_without(options_.avoided)); !status) {
        return in(set, status);
      }
    }
    draw_json_texts(texts, from, to, &builder_);
    return {};
  }

  // The prefix, then the others; it may end wherever there are enough.
  void draw_array(const SchemaFacts& facts, Node from, Node to) {
    const Node close = builder_.node();
    builder_.literal(close, "]", to);
    Node at = spaced(from, "[");
    const auto prefix = static_cast<uint32_t>(facts.prefix_items());
    uint32_t index = 0;
    for (; index < prefix && index < facts.most_items; ++index) {
      if (index >= facts.least_items) end_array(at, index, close);
      const auto item = facts.item(index);
      if (!item) return;
      at = draw_item(at, *item, index);
    }
    const bool has_more = prefix == 0 || std::ranges::any_of(facts.arrays, [](const auto& array) {
                            return array.items.has_value();
                          });
    const auto item = has_more || facts.least_items > index ? facts.item(prefix) : std::nullopt;
    if (facts.least_items <= index) end_array(at, index, close);
    if (!item || facts.most_items <= index) return;
    if (index == 0) {
      at = draw_item(at, *item, 0);
      index = 1;
    }
    const uint32_t least = facts.least_items > index ? facts.least_items - index : 0;
    const bool is_endless = facts.most_items == Grammar::kEndless;
    const uint32_t most = is_endless ? Grammar::kEndless : facts.most_items - index;
    const Node done = builder_.node();
    const GrammarBuilder::Rounds rounds = builder_.repeat(at, least, most, done);
    builder_.jump(draw_item(rounds.begin, *item, 1), rounds.up);
    end_array(done, 1, close);
  }

  Node draw_item(Node from, const SchemaSet& item, uint32_t index) {
    if (index > 0) from = spaced(from, ",");
    const Node next = builder_.node();
    builder_.call(from, rule(item), next);
    return next;
  }

  void end_array(Node from, uint32_t items, Node close) {
    if (items == 0) {
      builder_.jump(from, close);
    } else {
      builder_.call(from, *shared_.space, close);
    }
  }

  Node spaced(Node from, std::string_view text) {
    const Node behind = builder_.node();
    builder_.literal(from, text, behind);
    const Node next = builder_.node();
    builder_.call(behind, *shared_.space, next);
    return next;
  }

  // Two tracks: nothing was written yet, or something, so that a comma comes first.
  Status draw_object(const SchemaSet& set, const SchemaFacts& facts, Node from, Node to) {
    const Node close = builder_.node();
    builder_.literal(close, "}", to);
    Node nothing = spaced(from, "{");
    Node something = builder_.node();
    const std::vector<std::string> names = facts.names();
    for (const std::string& name : names) {
      const bool is_required = std::ranges::find(facts.required, name) != facts.required.end();
      const auto value = facts.property(name);
      const Node next_nothing = builder_.node();
      const Node next_something = builder_.node();
      if (value) {
        const Node member = first_or_next(nothing, something);
        const Node behind_name = builder_.node();
        builder_.literal(member, json_literal(JsonValue{name}, options_.avoided), behind_name);
        draw_value(behind_name, *value, next_something);
      }
      if (!is_required) {
        builder_.jump(nothing, next_nothing);
        builder_.jump(something, next_something);
      }
      nothing = next_nothing;
      something = next_something;
    }
    if (Status status = draw_additional(set, facts, nothing, something); !status) return status;
    builder_.jump(nothing, close);
    builder_.call(something, *shared_.space, close);
    return {};
  }

  Status draw_additional(const SchemaSet& set, const SchemaFacts& facts, Node nothing,
                         Node something) {
    const auto value = facts.additional();
    if (!value) return {};
    const Node member = first_or_next(nothing, something);
    const Node behind_name = builder_.node();
    const std::vector<std::string> names = facts.names();
    if (names.empty()) {
      builder_.call(member, any_string(), behind_name);
    } else {
      // An escape might spell one of the names, so these are written in one way only.
      auto others = texts_other_than(names);
      if (!others) return in(set, others.error());
      if (Status status = draw_texts(set, std::move(*others), member, behind_name); !status) {
        return status;
      }
    }
    draw_value(behind_name, *value, something);
    return {};
  }

  Node first_or_next(Node nothing, Node something) {
    const Node member = builder_.node();
    builder_.jump(nothing, member);
    builder_.jump(spaced(something, ","), member);
    return member;
  }

  void draw_value(Node from, const SchemaSet& value, Node to) {
    const Node colon = builder_.node();
    builder_.literal(from, ":", colon);
    const Node spaced_colon = builder_.node();
    builder_.literal(colon, " ", spaced_colon);
    builder_.jump(colon, spaced_colon);
    builder_.call(spaced_colon, rule(value), to);
  }

  SchemaReader reader_;
  const JsonSchemaOptions options_;
  JsonRules& shared_;
  GrammarBuilder& builder_;
  const JsonValue object_schema_{JsonValue::Object{{"type", JsonValue{std::string("object")}}}};
  std::map<std::pair<std::set<const JsonValue*>, std::set<const JsonValue*>>, Rule> rules_;
  std::vector<Waiting> waiting_;
  size_t branches_ = 0;
  uint64_t pattern_work_ = 0;
};

// Stops beyond the limit.
size_t count_values(const JsonValue& value, size_t known) {
  size_t count = known + 1;
  if (value.array() != nullptr) {
    for (const JsonValue& part : *value.array()) {
      if (count <= limits::kSchemaValues) count = count_values(part, count);
    }
  } else if (value.object() != nullptr) {
    for (const auto& part : *value.object()) {
      if (count <= limits::kSchemaValues) count = count_values(part.second, count);
    }
  }
  return count;
}

}  // namespace

Rule draw_json_space(GrammarBuilder* builder) {
  const Rule space = builder->rule("space");
  const Node from = builder->begin(space);
  const Node to = builder->end(space);
  builder->jump(from, to);
  builder->literal(from, " ", to);
  const Node line = builder->node();
  builder->literal(from, "\n", line);
  const GrammarBuilder::Rounds indentation = builder->repeat(line, 0, kIndentation, to);
  builder->literals(indentation.begin, {" ", "\t"}, indentation.up);
  return space;
}

Result<Rule> draw_json_schema(const JsonValue& schema, const JsonSchemaOptions& options,
                              JsonRules* rules, GrammarBuilder* builder) {
  return JsonSchemaDrawer(schema, options, rules, builder).draw({{{&schema, ""}}, {}});
}

struct JsonSchemaDrawer::Work {
  Work(const JsonValue& root, JsonSchemaOptions options, JsonRules* rules, GrammarBuilder* builder)
      : values(count_values(root, 0)), drawer(root, std::move(options), rules, builder) {}

  size_t values;
  SchemaDrawer drawer;
};

JsonSchemaDrawer::JsonSchemaDrawer(const JsonValue& root, JsonSchemaOptions options,
                                   JsonRules* rules, GrammarBuilder* builder)
    : work_(std::make_unique<Work>(root, std::move(options), rules, builder)) {}

JsonSchemaDrawer::~JsonSchemaDrawer() = default;

Result<Rule> JsonSchemaDrawer::draw(const SchemaSet& set) {
  if (work_->values > limits::kSchemaValues) {
    return Error{ErrorCode::kLimit,
                 fmt::format("at most {} values in a schema", limits::kSchemaValues)};
  }
  return work_->drawer.draw(set);
}

}  // namespace potluck
