// A conversation as clients send it: messages, tools and arguments of the template. Plain values.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/template/json.h"

namespace potluck {

struct ToolCall {
  std::string id;  // may be empty
  std::string name;
  // An object; a text that holds one counts as that object.
  JsonValue arguments;
};

struct ChatMessage {
  std::string role;   // "system", "user", "assistant", "tool" ..
  JsonValue content;  // a text, a list of parts, or null
  std::optional<std::string> reasoning_content;
  std::vector<ToolCall> tool_calls;
  std::optional<std::string> tool_call_id;  // of a tool's result: what it answers
  std::optional<std::string> name;
};

// Of a part of a content {"type": "text", "text": ..}; null for any other part.
const std::string* text_of_part(const JsonValue& part);
// Of a whole content: its text, or those of its parts, one after the other.
std::string text_of_content(const JsonValue& content);

struct Conversation {
  std::vector<ChatMessage> messages;
  std::vector<JsonValue> tools;  // definitions, as in OpenAI's API
  // Ends the prompt with what begins an answer.
  bool add_generation_prompt = true;
  // Further variables of the template, such as enable_thinking.
  std::vector<std::pair<std::string, JsonValue>> arguments;
};

}  // namespace potluck
