// The form of an answer, made into the grammar that a CompletionRequest carries. answer_demands.h
// reads what each API says of it and calls these; what cannot be met is the error of `field`. Pure;
// compiling a large schema takes some milliseconds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"
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

}  // namespace potluck
