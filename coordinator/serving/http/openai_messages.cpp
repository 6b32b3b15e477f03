#include "coordinator/serving/http/openai_messages.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_demands.h"
#include "coordinator/serving/http/text_parts.h"

namespace potluck {
namespace {

constexpr size_t kOpenAiMessages = 100'000;
constexpr std::array<std::string_view, 1> kOpenAiTextTypes{"text"};
constexpr std::array<std::string_view, 6> kOpenAiRoles{"system",    "developer", "user",
                                                       "assistant", "tool",      "function"};

JsonValue read_content(JsonFields& message) {
  const JsonValue* content = message.find("content");
  if (content == nullptr || content->text() != nullptr) {
    return content == nullptr ? JsonValue{} : *content;
  }
  const JsonValue::Array* parts = content->array();
  if (parts == nullptr) {
    message.fail("content", fmt::format("'{}' must be a text, an array of parts or null",
                                        message.path("content")));
    return {};
  }
  for (size_t i = 0; i < parts->size() && !message.failed(); ++i) {
    read_text_part((*parts)[i], fmt::format("{}[{}]", message.path("content"), i), kOpenAiTextTypes,
                   message.error());
  }
  return *content;
}

// Arguments stay the text that they are: models write broken ones, and clients send them back.
ToolCall read_call(const JsonValue& value, const std::string& path,
                   std::optional<ApiError>* error) {
  JsonFields fields(value, path, error);
  ToolCall call;
  call.id = fields.text("id").value_or("");
  const JsonValue* function = fields.object("function");
  if (function == nullptr) {
    fields.fail("function", fmt::format("'{}.function' is missing", path));
    return call;
  }
  JsonFields inner(*function, path + ".function", error);
  call.name = inner.text("name").value_or("");
  if (call.name.empty()) inner.fail("name", fmt::format("'{}.function.name' is missing", path));
  const JsonValue* arguments = inner.find("arguments");
  call.arguments = arguments == nullptr ? JsonValue{JsonValue::Object{}} : *arguments;
  if (const std::string* text = call.arguments.text(); text != nullptr && text->empty()) {
    call.arguments = JsonValue{JsonValue::Object{}};
  }
  return call;
}

std::string read_role(JsonFields& fields) {
  const auto role = fields.text("role");
  if (role && std::ranges::find(kOpenAiRoles, *role) != kOpenAiRoles.end()) {
    // What OpenAI's API calls now what templates know under the older names.
    if (*role == "developer") return "system";
    return *role == "function" ? "tool" : *role;
  }
  fields.fail("role", fmt::format("'{}' must be one of system, developer, user, assistant and tool",
                                  fields.path("role")));
  return {};
}

ChatMessage read_openai_message(const JsonValue& value, const std::string& path,
                                std::optional<ApiError>* error) {
  JsonFields fields(value, path, error);
  ChatMessage message;
  message.role = read_role(fields);
  message.content = read_content(fields);
  message.reasoning_content = fields.text("reasoning_content");
  if (!message.reasoning_content) message.reasoning_content = fields.text("reasoning");
  message.tool_call_id = fields.text("tool_call_id");
  message.name = fields.text("name");
  if (const auto* calls = fields.array("tool_calls")) {
    for (size_t i = 0; i < calls->size() && !fields.failed(); ++i) {
      message.tool_calls.push_back(
          read_call((*calls)[i], fmt::format("{}[{}]", fields.path("tool_calls"), i), error));
    }
  }
  if (message.content.is_null() && message.role != "assistant") {
    fields.fail("content", fmt::format("'{}' is missing", fields.path("content")));
  }
  return message;
}

void read_openai_messages(JsonFields& fields, Conversation* conversation) {
  const JsonValue::Array* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kOpenAiMessages) {
    fields.fail("messages",
                fmt::format("'messages' must be an array of 1 to {} messages", kOpenAiMessages));
    return;
  }
  for (size_t i = 0; i < messages->size() && !fields.failed(); ++i) {
    conversation->messages.push_back(
        read_openai_message((*messages)[i], fmt::format("messages[{}]", i), fields.error()));
  }
}

void check_tool(const JsonValue& tool, const std::string& path, std::optional<ApiError>* error) {
  JsonFields fields(tool, path, error);
  const std::string type = fields.text("type").value_or("");
  if (type != "function") {
    fields.fail(
        not_supported(fields.path("type"),
                      fmt::format("tools of type '{}' are not supported, only functions", type)));
    return;
  }
  const JsonValue* function = fields.object("function");
  if (function == nullptr) {
    fields.fail("function", fmt::format("'{}.function' is missing", path));
    return;
  }
  JsonFields inner(*function, path + ".function", error);
  if (inner.text("name").value_or("").empty()) {
    inner.fail("name", fmt::format("'{}.function.name' is missing", path));
  }
}

void read_openai_tools(JsonFields& fields, Conversation* conversation) {
  const ToolChoice choice = read_openai_tool_choice(fields);
  const JsonValue::Array* tools = fields.array("tools", kMostTools);
  if (tools == nullptr) return;
  for (size_t i = 0; i < tools->size() && !fields.failed(); ++i) {
    check_tool((*tools)[i], fmt::format("tools[{}]", i), fields.error());
  }
  if (choice.kind != ToolChoice::Kind::kNone) conversation->tools = *tools;
}

void read_arguments(JsonFields& fields, Conversation* conversation) {
  if (auto effort = fields.text("reasoning_effort")) {
    add_reasoning_effort(*std::move(effort), conversation);
  }
  if (const JsonValue* given = fields.object("chat_template_kwargs")) {
    for (const auto& argument : *given->object()) conversation->arguments.push_back(argument);
  }
}

}  // namespace

void add_reasoning_effort(std::string effort, Conversation* conversation) {
  const bool none = effort == "none";
  conversation->arguments.emplace_back("reasoning_effort", JsonValue{std::move(effort)});
  if (none) conversation->arguments.emplace_back("enable_thinking", JsonValue{false});
}

Conversation read_conversation(JsonFields& fields) {
  Conversation conversation;
  read_openai_messages(fields, &conversation);
  read_openai_tools(fields, &conversation);
  read_arguments(fields, &conversation);
  return conversation;
}

}  // namespace potluck
