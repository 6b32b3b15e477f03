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

}  // namespace potluck
