// AnswerDemands: what a request demands of the form of its answer: a format, or calls of tools.
// Each API writes it in its own way; here is the one form in which they are understood, and the one
// place that refuses what cannot be met. Pure.
#pragma once

#include <string>

#include "coordinator/serving/http/answer_form.h"
#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"
#include "engine/chat/chat_message.h"

namespace potluck {

struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name = {};  // of kNamed
  bool several = true;    // of kRequired: more than one call may be made
  std::string field = "tool_choice";
};

struct AnswerFormat {
  enum class Kind { kText, kJson, kSchema, kGrammar };
  Kind kind = Kind::kText;
  JsonValue schema = {};     // of kSchema
  std::string grammar = {};  // of kGrammar: GBNF
  std::string field = "response_format";
};

// "tool_choice" of OpenAI's APIs: a name, {"type": "function", "function": {"name": ..}} or
// {"type": "function", "name": ..}.
ToolChoice read_openai_tool_choice(JsonFields& fields);
// "tool_choice" of Anthropic's API: {"type": "auto" | "any" | "tool" | "none", "name": ..}.
ToolChoice read_anthropic_tool_choice(JsonFields& fields);

// OpenAI's form of a format, {"type": "text" | "json_object" | "json_schema", ..}, at `field`,
// which may be null: then it is text.
AnswerFormat read_openai_format(const JsonValue* value, const std::string& field,
                                std::optional<ApiError>* error);
// "response_format", and the extensions "json_schema" and "grammar" (GBNF): at most one of them.
AnswerFormat read_openai_formats(JsonFields& fields);
// Ollama's "format": "json" or a schema.
AnswerFormat read_ollama_format(JsonFields& fields);

// The grammar of a format; null for text and where there is an error.
FormGrammar format_grammar(const AnswerFormat& format, const RequestSetting& setting,
                           JsonFields& fields);
// The grammar that meets both; null where any answer does. Takes the tools that the model may call,
// and refuses what this model cannot meet.
FormGrammar apply_demands(const ToolChoice& choice, const AnswerFormat& format,
                          const RequestSetting& setting, Conversation* conversation,
                          JsonFields& fields);

// What a request may name, at most.
inline constexpr size_t kMostTools = 1024;

// A tool as templates know it.
JsonValue function_tool(std::string name, const JsonValue* description,
                        const JsonValue* parameters);

}  // namespace potluck
