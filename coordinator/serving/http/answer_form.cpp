#include "coordinator/serving/http/answer_form.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

FormGrammar compiled(const AnswerForm& form, const std::string& field,
                     const RequestSetting& setting, JsonFields& fields) {
  // While the model is being loaded, requests are refused by the service.
  if (fields.failed() || !setting.model_known) return nullptr;
  auto grammar = make_answer_grammar(form, setting.model.syntax);
  if (grammar) return *grammar;
  fields.fail(invalid_request(field, fmt::format("'{}': {}", field, grammar.error().message)));
  return nullptr;
}

// The schema of the type json_schema stands one level further in.
FormGrammar read_response_format(const JsonValue& format, const RequestSetting& setting,
                                 JsonFields& fields) {
  const std::string field = fields.path("response_format");
  JsonFields inner(format, field, fields.error());
  const std::string type = inner.text("type").value_or("");
  // llama.cpp's server takes a schema beside the type, too.
  const JsonValue* schema = inner.object("schema");
  if (type == "text") return nullptr;
  if (type == "json_object") return json_form(schema, field, setting, fields);
  if (type != "json_schema") {
    fields.fail(invalid_request(field, fmt::format("'{}.type' must be text, json_object or "
                                                   "json_schema",
                                                   field)));
    return nullptr;
  }
  if (const JsonValue* named = inner.object("json_schema")) {
    JsonFields holder(*named, inner.path("json_schema"), fields.error());
    schema = holder.object("schema");
  }
  if (schema == nullptr) inner.fail("json_schema", fmt::format("'{}' has no schema", field));
  return json_form(schema, field, setting, fields);
}

std::optional<CallForm::Function> function_of(const JsonValue& tool) {
  CallForm::Function function;
  if (tool.object() == nullptr) return std::nullopt;
  for (const auto& [key, value] : *tool.object()) {
    if (key != "function" || value.object() == nullptr) continue;
    for (const auto& [name, member] : *value.object()) {
      if (name == "name" && member.text() != nullptr) function.name = *member.text();
      if (name == "parameters") function.parameters = member;
    }
  }
  if (function.name.empty()) return std::nullopt;
  return function;
}

std::string named_function(const JsonValue& choice, JsonFields& fields) {
  JsonFields outer(choice, fields.path("tool_choice"), fields.error());
  const JsonValue* function = outer.object("function");
  if (function == nullptr) return outer.text("name").value_or("");
  JsonFields inner(*function, outer.path("function"), fields.error());
  return inner.text("name").value_or("");
}

}  // namespace

FormGrammar json_form(const JsonValue* schema, const std::string& field,
                      const RequestSetting& setting, JsonFields& fields) {
  JsonForm form{JsonValue{JsonValue::Object()}, schema == nullptr};
  if (schema != nullptr) form.schema = *schema;
  return compiled(form, field, setting, fields);
}

FormGrammar gbnf_form(const std::string& text, const std::string& field,
                      const RequestSetting& setting, JsonFields& fields) {
  return compiled(GbnfForm{text}, field, setting, fields);
}

FormGrammar call_form(const std::vector<JsonValue>& tools, const std::string& name, bool several,
                      const std::string& field, const RequestSetting& setting, JsonFields& fields) {
  CallForm form;
  for (const JsonValue& tool : tools) {
    auto function = function_of(tool);
    const bool is_meant = function && (name.empty() || function->name == name);
    if (is_meant) form.functions.push_back(std::move(*function));
  }
  if (form.functions.empty()) {
    fields.fail(invalid_request(field, name.empty()
                                           ? fmt::format("'{}' asks for a call, but there are no "
                                                         "tools",
                                                         field)
                                           : fmt::format("'{}' names '{}', which is not among the "
                                                         "tools",
                                                         field, name)));
    return nullptr;
  }
  form.most = several && name.empty() ? kMostRequiredCalls : 1;
  return compiled(form, field, setting, fields);
}

FormGrammar read_openai_form(JsonFields& fields, const RequestSetting& setting) {
  const JsonValue* format = fields.object("response_format");
  const JsonValue* schema = fields.object("json_schema");
  const auto grammar = fields.text("grammar");
  const int asked = (format != nullptr ? 1 : 0) + (schema != nullptr ? 1 : 0) + (grammar ? 1 : 0);
  if (asked > 1) {
    fields.fail(grammar ? "grammar" : "json_schema",
                "only one of 'response_format', 'json_schema' and 'grammar' can be met");
  }
  if (fields.failed()) return nullptr;
  if (format != nullptr) return read_response_format(*format, setting, fields);
  if (schema != nullptr) return json_form(schema, fields.path("json_schema"), setting, fields);
  return grammar ? gbnf_form(*grammar, fields.path("grammar"), setting, fields) : nullptr;
}

ToolChoice read_openai_tool_choice(JsonFields& fields) {
  using enum ToolChoice::Use;
  const JsonValue* choice = fields.find("tool_choice");
  if (choice == nullptr) return {};
  if (choice->object() != nullptr) {
    const std::string name = named_function(*choice, fields);
    if (!name.empty()) return {kRequired, name};
  }
  const std::string* use = choice->text();
  if (use != nullptr && *use == "auto") return {};
  if (use != nullptr && *use == "none") return {kNone};
  if (use != nullptr && *use == "required") return {kRequired};
  fields.fail("tool_choice", "'tool_choice' must be auto, none, required or a named function");
  return {};
}

FormGrammar read_openai_chat_form(JsonFields& fields, const Conversation& conversation,
                                  const RequestSetting& setting) {
  FormGrammar form = read_openai_form(fields, setting);
  const ToolChoice choice = read_openai_tool_choice(fields);
  if (choice.use != ToolChoice::Use::kRequired) return form;
  if (form != nullptr) {
    fields.fail("tool_choice", "a call and another form of the answer cannot both be required");
  }
  const bool several = fields.flag("parallel_tool_calls").value_or(true);
  if (fields.failed()) return nullptr;
  return call_form(conversation.tools, choice.name, several, fields.path("tool_choice"), setting,
                   fields);
}

}  // namespace potluck
