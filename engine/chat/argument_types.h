// ArgumentTypes: which types the tools of a conversation give their arguments. Some syntaxes write
// the text 7 and the number 7 in the same way; the schema tells them apart. One object per answer,
// one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/schema_facts.h"
#include "engine/template/json.h"

namespace potluck {

class ArgumentTypes {
 public:
  ArgumentTypes() = default;
  // Definitions as in Conversation::tools. What is no definition of a function is left out.
  explicit ArgumentTypes(const std::vector<JsonValue>& tools);

  bool knows(std::string_view function) const { return schemas_.contains(function); }
  bool empty() const { return schemas_.empty(); }
  // SchemaType flags; all of them where nothing is known.
  uint32_t types_of(std::string_view function, std::string_view argument) const;
  // The value that such a text stands for: JSON where the types allow it, else the text.
  JsonValue value_of(std::string_view text, uint32_t types) const;

 private:
  std::map<std::string, std::shared_ptr<const JsonValue>, std::less<>> schemas_;
};

// SchemaType flags of what such schemas allow together.
uint32_t types_of_set(const SchemaSet& set, SchemaReader* reader);

// The function of a definition, and the schema of its arguments, which may be null.
struct ToolDefinition {
  std::string name;
  JsonValue parameters;
};
ToolDefinition read_tool(const JsonValue& tool);

}  // namespace potluck
