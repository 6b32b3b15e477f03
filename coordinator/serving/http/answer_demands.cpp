#include "coordinator/serving/http/answer_demands.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/json_object.h"

namespace potluck {
namespace {

constexpr const char* kToolChoice = "tool_choice";

// A model that answers tools with prose would be taken for one that chose not to call.
void check_tools(const Conversation& conversation, const RequestSetting& setting,
                 JsonFields& fields) {
  if (!setting.model_known || conversation.tools.empty() || setting.model.calls_tools) return;
  fields.fail(not_supported("tools", "the chat template of '" + setting.model.id +
                                         "' has no tool calls in a known form"));
}

// The name is one level further in, or beside the type.
std::string named_function(const JsonValue& choice, JsonFields& fields) {
  JsonFields members(choice, kToolChoice, fields.error());
  if (const JsonValue* function = members.object("function")) {
    JsonFields inner(*function, std::string(kToolChoice) + ".function", fields.error());
    return inner.text("name").value_or("");
  }
  return members.text("name").value_or("");
}

}  // namespace

ToolChoice read_openai_tool_choice(JsonFields& fields) {
  using enum ToolChoice::Kind;
  const JsonValue* choice = fields.find(kToolChoice);
  if (choice == nullptr) return {};
  if (choice->object() != nullptr) return {kNamed, named_function(*choice, fields)};
  const std::string* name = choice->text();
  if (name != nullptr && *name == "auto") return {};
  if (name != nullptr && *name == "none") return {kNone};
  if (name != nullptr && *name == "required") return {kRequired};
  fields.fail(kToolChoice, "'tool_choice' must be auto, none, required or a named function");
  return {};
}

ToolChoice read_anthropic_tool_choice(JsonFields& fields) {
  using enum ToolChoice::Kind;
  const JsonValue* choice = fields.object(kToolChoice);
  if (choice == nullptr) return {};
  JsonFields members(*choice, kToolChoice, fields.error());
  const std::string type = members.text("type").value_or("");
  if (type == "auto") return {};
  if (type == "none") return {kNone};
  if (type == "any") return {kRequired};
  if (type == "tool") return {kNamed, members.text("name").value_or("")};
  members.fail("type", "'tool_choice.type' must be auto, any, tool or none");
  return {};
}

AnswerFormat read_openai_format(const JsonValue* value, const std::string& field,
                                std::optional<ApiError>* error) {
  using enum AnswerFormat::Kind;
  AnswerFormat format;
  format.field = field;
  if (value == nullptr) return format;
  JsonFields members(*value, field, error);
  const std::string type = members.text("type").value_or("");
  if (type == "text") return format;
  format.kind = type == "json_object" ? kJson : kSchema;
  // The schema stands beside the type, or one level further in.
  const JsonValue* inner = members.object("json_schema");
  JsonFields holder(inner != nullptr ? *inner : *value, field, error);
  if (const JsonValue* schema = holder.object("schema")) format.schema = *schema;
  return format;
}

AnswerFormat read_ollama_format(JsonFields& fields) {
  using enum AnswerFormat::Kind;
  const JsonValue* value = fields.find("format");
  if (value == nullptr) return {kText, {}, "format"};
  if (const std::string* name = value->text()) {
    if (name->empty()) return {kText, {}, "format"};
    if (*name == "json") return {kJson, {}, "format"};
  }
  if (value->object() == nullptr) fields.fail("format", "'format' must be 'json' or a schema");
  return {kSchema, *value, "format"};
}

void apply_demands(const ToolChoice& choice, const AnswerFormat& format,
                   const RequestSetting& setting, Conversation* conversation, JsonFields& fields) {
  if (format.kind != AnswerFormat::Kind::kText) {
    fields.fail(not_supported(
        format.field, fmt::format("of '{}', only the type 'text' is supported yet", format.field)));
  }
  switch (choice.kind) {
    case ToolChoice::Kind::kAuto:
      break;
    case ToolChoice::Kind::kNone:
      conversation->tools.clear();
      break;
    case ToolChoice::Kind::kRequired:
    case ToolChoice::Kind::kNamed:
      fields.fail(not_supported(
          choice.field,
          fmt::format("of '{}', 'auto' and 'none' are supported; calls cannot be required yet",
                      choice.field)));
      break;
  }
  check_tools(*conversation, setting, fields);
}

JsonValue function_tool(std::string name, const JsonValue* description,
                        const JsonValue* parameters) {
  JsonObject function;
  function.add("name", std::move(name));
  if (description != nullptr) function.add("description", *description);
  if (parameters != nullptr) {
    function.add("parameters", *parameters);
  } else {
    // Templates write this out, and some of them without looking whether it is there.
    function.add("parameters",
                 JsonObject().add("type", "object").add("properties", JsonValue::Object()).take());
  }
  return JsonObject().add("type", "function").add("function", function.take()).take();
}

}  // namespace potluck
