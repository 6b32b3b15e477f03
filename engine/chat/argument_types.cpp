#include "engine/chat/argument_types.h"

#include <functional>
#include <utility>

#include "engine/chat/uncertain_end.h"
#include "engine/grammar/schema_branches.h"

namespace potluck {
namespace {

// Alternatives within alternatives: of a text or null there is one.
constexpr int kMostTextAlternatives = 4;

uint32_t read_types(const SchemaSet& set, SchemaReader* reader, int depth) {
  auto facts = reader->read(set);
  if (!facts) return kAllTypes;
  uint32_t types = facts->types;
  if (facts->values) {
    uint32_t listed = 0;
    for (const JsonValue* value : *facts->values) listed |= type_of(*value);
    types &= listed;
  }
  if (!facts->branches.empty() && depth > 0) {
    const SchemaFacts::Branches& group = facts->branches.front();
    uint32_t any = 0;
    for (const SchemaRef& branch : group.branches) {
      any |= read_types(with_branch(set, group, branch), reader, depth - 1);
    }
    return types & any;
  }
  return types == kAllTypes && facts->hinted_types != 0 ? facts->hinted_types : types;
}

}  // namespace

uint32_t types_of_set(const SchemaSet& set, SchemaReader* reader) {
  return read_types(set, reader, kMostTextAlternatives);
}

ToolDefinition read_tool(const JsonValue& tool) {
  ToolDefinition read;
  if (tool.object() == nullptr) return read;
  for (const auto& [key, value] : *tool.object()) {
    if (key != "function" || value.object() == nullptr) continue;
    for (const auto& [name, member] : *value.object()) {
      if (name == "name" && member.text() != nullptr) read.name = *member.text();
      if (name == "parameters") read.parameters = member;
    }
  }
  return read;
}

ArgumentTypes::ArgumentTypes(const std::vector<JsonValue>& tools) {
  for (const JsonValue& tool : tools) {
    ToolDefinition read = read_tool(tool);
    if (read.name.empty()) continue;
    schemas_[read.name] = std::make_shared<const JsonValue>(std::move(read.parameters));
  }
}

// Schemas that cannot be read say nothing; requiring a call of such a tool is an error elsewhere.
uint32_t ArgumentTypes::types_of(std::string_view function, std::string_view argument) const {
  const auto found = schemas_.find(function);
  if (found == schemas_.end() || found->second->object() == nullptr) return kAllTypes;
  SchemaReader reader(*found->second);
  auto facts = reader.read({{{found->second.get(), ""}}, {}});
  if (!facts) return kAllTypes;
  const auto property = facts->property(std::string(argument));
  return property ? types_of_set(*property, &reader) : kAllTypes;
}

JsonValue ArgumentTypes::value_of(std::string_view text, uint32_t types) const {
  JsonValue as_text{std::string(text)};
  if (types == kStringType) return as_text;
  auto parsed = parse_json(trimmed(text));
  // Some templates write them as Python does, and so do their models.
  for (const auto& [name, value] :
       {std::pair{"True", "true"}, {"False", "false"}, {"None", "null"}}) {
    if (!parsed && (types & kStringType) == 0 && trimmed(text) == name) parsed = parse_json(value);
  }
  // A text in quotes is a text with quotes, unless there are no texts.
  if (!parsed || (parsed->text() != nullptr && (types & kStringType) != 0)) return as_text;
  return (type_of(*parsed) & types) != 0 ? *std::move(parsed) : as_text;
}

}  // namespace potluck
