#include "coordinator/serving/http/answer_demands.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/json_object.h"

namespace potluck {
namespace {

constexpr const char* kToolChoice = "tool_choice";
constexpr const char* kResponseFormat = "response_format";

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
  ToolChoice choice;
  choice.several = fields.flag("parallel_tool_calls").value_or(true);
  const JsonValue* value = fields.find(kToolChoice);
  if (value == nullptr) return choice;
  if (value->object() != nullptr) {
    choice.kind = kNamed;
    choice.name = named_function(*value, fields);
    if (!choice.name.empty()) return choice;
  }
  const std::string* name = value->text();
  if (name != nullptr && *name == "auto") return choice;
  if (name != nullptr && *name == "none") choice.kind = kNone;
  if (name != nullptr && *name == "required") choice.kind = kRequired;
  if (choice.kind == kNone || choice.kind == kRequired) return choice;
  fields.fail(kToolChoice, "'tool_choice' must be auto, none, required or a named function");
  return {};
}

ToolChoice read_anthropic_tool_choice(JsonFields& fields) {
  using enum ToolChoice::Kind;
  ToolChoice choice;
  const JsonValue* value = fields.object(kToolChoice);
  if (value == nullptr) return choice;
  JsonFields members(*value, kToolChoice, fields.error());
  choice.several = !members.flag("disable_parallel_tool_use").value_or(false);
  const std::string type = members.text("type").value_or("");
  if (type == "auto") return choice;
  if (type == "none") {
    choice.kind = kNone;
  } else if (type == "any") {
    choice.kind = kRequired;
  } else if (type == "tool") {
    choice.kind = kNamed;
    choice.name = members.text("name").value_or("");
  } else {
    members.fail("type", "'tool_choice.type' must be auto, any, tool or none");
  }
  return choice;
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
  if (type != "json_object" && type != "json_schema") {
    members.fail(invalid_request(
        field, fmt::format("'{}.type' must be text, json_object or json_schema", field)));
    return format;
  }
  // The schema stands beside the type, or one level further in.
  const JsonValue* inner = members.object("json_schema");
  JsonFields holder(inner != nullptr ? *inner : *value, field, error);
  const JsonValue* schema = holder.object("schema");
  format.kind = schema != nullptr ? kSchema : kJson;
  if (schema != nullptr) format.schema = *schema;
  if (type == "json_schema" && schema == nullptr) {
    const bool nested = inner != nullptr || field == kResponseFormat;
    members.fail(nested ? "json_schema" : "schema", fmt::format("'{}' has no schema", field));
  }
  return format;
}

AnswerFormat read_openai_formats(JsonFields& fields) {
  using enum AnswerFormat::Kind;
  const JsonValue* format = fields.object(kResponseFormat);
  const JsonValue* schema = fields.object("json_schema");
  auto grammar = fields.text("grammar");
  const int asked = (format != nullptr ? 1 : 0) + (schema != nullptr ? 1 : 0) + (grammar ? 1 : 0);
  if (asked > 1) {
    fields.fail(grammar ? "grammar" : "json_schema",
                "only one of 'response_format', 'json_schema' and 'grammar' can be met");
  }
  if (schema != nullptr) return {kSchema, *schema, {}, "json_schema"};
  if (grammar) return {kGrammar, {}, *std::move(grammar), "grammar"};
  return read_openai_format(format, kResponseFormat, fields.error());
}

AnswerFormat read_ollama_format(JsonFields& fields) {
  using enum AnswerFormat::Kind;
  const JsonValue* value = fields.find("format");
  if (value == nullptr) return {kText, {}, {}, "format"};
  if (const std::string* name = value->text()) {
    if (name->empty()) return {kText, {}, {}, "format"};
    if (*name == "json") return {kJson, {}, {}, "format"};
  }
  if (value->object() == nullptr) fields.fail("format", "'format' must be 'json' or a schema");
  return {kSchema, *value, {}, "format"};
}

FormGrammar format_grammar(const AnswerFormat& format, const RequestSetting& setting,
                           JsonFields& fields) {
  switch (format.kind) {
    case AnswerFormat::Kind::kText:
      return nullptr;
    case AnswerFormat::Kind::kJson:
      return json_form(nullptr, format.field, setting, fields);
    case AnswerFormat::Kind::kSchema:
      return json_form(&format.schema, format.field, setting, fields);
    case AnswerFormat::Kind::kGrammar:
      return gbnf_form(format.grammar, format.field, setting, fields);
  }
  return nullptr;
}

FormGrammar apply_demands(const ToolChoice& choice, const AnswerFormat& format,
                          const RequestSetting& setting, Conversation* conversation,
                          JsonFields& fields) {
  if (choice.kind == ToolChoice::Kind::kNone) conversation->tools.clear();
  check_tools(*conversation, setting, fields);
  const bool calls =
      choice.kind == ToolChoice::Kind::kRequired || choice.kind == ToolChoice::Kind::kNamed;
  if (!calls) return format_grammar(format, setting, fields);
  if (format.kind != AnswerFormat::Kind::kText) {
    fields.fail(choice.field, "a call and another form of the answer cannot both be required");
  }
  if (fields.failed()) return nullptr;
  return call_form(conversation->tools, choice.name, choice.several, choice.field, setting, fields);
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
