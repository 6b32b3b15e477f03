#include "coordinator/cli/tools.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

const JsonValue* member(const JsonValue& value, std::string_view key) {
  if (value.object() == nullptr) return nullptr;
  auto found = std::ranges::find_if(*value.object(), [&](const auto& m) { return m.first == key; });
  return found == value.object()->end() ? nullptr : &found->second;
}

bool is_function(const JsonValue& value) {
  const JsonValue* name = member(value, "name");
  return name != nullptr && name->text() != nullptr && !name->text()->empty();
}

Result<JsonValue> tool_of(const JsonValue& entry) {
  const JsonValue* function = member(entry, "function");
  if (function != nullptr && is_function(*function)) return entry;
  if (function == nullptr && is_function(entry)) {
    return JsonValue{
        JsonValue::Object{{"type", JsonValue{std::string("function")}}, {"function", entry}}};
  }
  return Error{
      ErrorCode::kInvalidArgument,
      "expected {\"type\": \"function\", \"function\": {\"name\": .., \"parameters\": ..}}"};
}

}  // namespace

Result<std::vector<JsonValue>> load_tools(Storage& storage, const std::string& path) {
  auto bytes = read_file(storage, path, limits::kTemplateBytes);
  if (!bytes) return bytes.error().in("--tools");
  auto parsed = parse_json(as_text(*bytes));
  if (!parsed) return parsed.error().in("--tools " + path);
  if (parsed->array() == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--tools {}: expected a list of tools, [..]", path)};
  }
  std::vector<JsonValue> tools;
  for (const JsonValue& entry : *parsed->array()) {
    auto tool = tool_of(entry);
    if (!tool) {
      return tool.error().in(fmt::format("--tools {}: tool {}", path, tools.size() + 1));
    }
    tools.push_back(std::move(*tool));
  }
  return tools;
}

std::string describe_call(const ToolCall& call) {
  return fmt::format("{} {}", call.name,
                     call.arguments.text() ? *call.arguments.text() : write_json(call.arguments));
}

std::string call_as_json(const ToolCall& call) {
  return write_json(
      JsonValue{JsonValue::Object{{"name", JsonValue{call.name}}, {"arguments", call.arguments}}});
}

}  // namespace potluck
