// What requests of all APIs ask of the form of an answer, made into the grammar that a
// CompletionRequest carries. Each API reads its own fields and calls these; what cannot be met is
// the error of `field`. Pure; compiling a large schema takes some milliseconds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/openai_request.h"
#include "engine/chat/answer_grammar.h"

namespace potluck {

using FormGrammar = std::shared_ptr<const Grammar>;  // null where there is an error

// JSON: any object without a schema, else what it allows.
FormGrammar json_form(const JsonValue* schema, const std::string& field,
                      const RequestSetting& setting, JsonFields& fields);
FormGrammar gbnf_form(const std::string& text, const std::string& field,
                      const RequestSetting& setting, JsonFields& fields);
// At least one call of these tools (as in a Conversation), or just one of the one that is named.
FormGrammar call_form(const std::vector<JsonValue>& tools, const std::string& name, bool several,
                      const std::string& field, const RequestSetting& setting, JsonFields& fields);

// OpenAI's "response_format", and the extensions "json_schema" and "grammar" (GBNF): one of them.
FormGrammar read_openai_form(JsonFields& fields, const RequestSetting& setting);

struct ToolChoice {
  enum class Use { kAuto, kNone, kRequired };
  Use use = Use::kAuto;
  std::string name = {};  // kRequired: of this function; empty: of any
};
// OpenAI's "tool_choice".
ToolChoice read_openai_tool_choice(JsonFields& fields);

// Everything of a chat request that asks for a form; no two of them can be met.
FormGrammar read_openai_chat_form(JsonFields& fields, const Conversation& conversation,
                                  const RequestSetting& setting);

}  // namespace potluck
