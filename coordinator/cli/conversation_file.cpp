#include "coordinator/cli/conversation_file.h"

#include <fmt/format.h>

#include "coordinator/serving/http/json_object.h"
#include "engine/base/bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr std::string_view kForm = "potluck conversation";
constexpr int64_t kVersion = 1;
constexpr uint32_t kPrivate = 0600;
// A conversation becomes a prompt.
constexpr uint64_t kFileBytes = limits::kPromptBytes;

JsonValue call_value(const ToolCall& call) {
  return JsonObject()
      .add("id", call.id)
      .add("name", call.name)
      .add("arguments", call.arguments)
      .take();
}

JsonValue message_value(const ChatMessage& message) {
  JsonObject object;
  object.add("role", message.role).add("content", message.content);
  if (message.reasoning_content) object.add("reasoning_content", *message.reasoning_content);
  if (!message.tool_calls.empty()) {
    JsonValue::Array calls;
    for (const ToolCall& call : message.tool_calls) calls.push_back(call_value(call));
    object.add("tool_calls", std::move(calls));
  }
  if (message.tool_call_id) object.add("tool_call_id", *message.tool_call_id);
  if (message.name) object.add("name", *message.name);
  return object.take();
}

const JsonValue* entry_of(const JsonValue& object, std::string_view name) {
  const JsonValue::Object* members = object.object();
  if (members == nullptr) return nullptr;
  for (const auto& [key, value] : *members) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<std::string> text_member(const JsonValue& object, std::string_view name) {
  const JsonValue* value = entry_of(object, name);
  if (value == nullptr || value->text() == nullptr) return std::nullopt;
  return *value->text();
}

Error wrong(const std::string& what) {
  return {ErrorCode::kCorrupt, "expected a conversation that /save has written: " + what};
}

Result<ChatMessage> read_message(const JsonValue& value, size_t index) {
  ChatMessage message;
  const auto role = text_member(value, "role");
  if (!role || role->empty()) return wrong(fmt::format("message {} has no role", index + 1));
  message.role = *role;
  if (const JsonValue* content = entry_of(value, "content")) message.content = *content;
  message.reasoning_content = text_member(value, "reasoning_content");
  message.tool_call_id = text_member(value, "tool_call_id");
  message.name = text_member(value, "name");
  const JsonValue* calls = entry_of(value, "tool_calls");
  if (calls == nullptr) return message;
  if (calls->array() == nullptr) return wrong("tool_calls that are no list");
  for (const JsonValue& call : *calls->array()) {
    ToolCall read;
    read.id = text_member(call, "id").value_or("");
    read.name = text_member(call, "name").value_or("");
    if (const JsonValue* arguments = entry_of(call, "arguments")) read.arguments = *arguments;
    message.tool_calls.push_back(std::move(read));
  }
  return message;
}

}  // namespace

std::string write_conversation(const SavedConversation& conversation) {
  JsonValue::Array messages;
  for (const ChatMessage& message : conversation.messages) {
    messages.push_back(message_value(message));
  }
  return write_json(JsonObject()
                        .add("form", kForm)
                        .add("version", kVersion)
                        .add("model", conversation.model)
                        .add("messages", std::move(messages))
                        .take()) +
         "\n";
}

Result<SavedConversation> read_conversation_text(std::string_view text) {
  const auto document = parse_json(text);
  if (!document) return wrong(document.error().message);
  if (text_member(*document, "form") != kForm) return wrong("found something else");
  const JsonValue* version = entry_of(*document, "version");
  const int64_t* number = version == nullptr ? nullptr : std::get_if<int64_t>(&version->data);
  if (number == nullptr || *number != kVersion) return wrong("another version wrote this one");
  const JsonValue* messages = entry_of(*document, "messages");
  if (messages == nullptr || messages->array() == nullptr) return wrong("it has no messages");
  SavedConversation conversation;
  conversation.model = text_member(*document, "model").value_or("");
  for (const JsonValue& value : *messages->array()) {
    auto message = read_message(value, conversation.messages.size());
    if (!message) return message.error();
    conversation.messages.push_back(std::move(*message));
  }
  return conversation;
}

Status save_conversation(Storage& storage, const std::string& path,
                         const SavedConversation& conversation) {
  if (storage.exists(path)) {
    if (auto earlier = load_conversation(storage, path); !earlier) {
      return Error{ErrorCode::kRefused,
                   path + ": not replaced, for it is there and is no saved conversation"};
    }
  }
  const std::string text = write_conversation(conversation);
  if (text.size() > kFileBytes) return Error{ErrorCode::kLimit, path + ": it is too long"};
  return storage.write_atomic(path, as_bytes(text), kPrivate);
}

Result<SavedConversation> load_conversation(Storage& storage, const std::string& path) {
  const auto bytes = read_file(storage, path, kFileBytes);
  if (!bytes) return bytes.error();
  auto read = read_conversation_text(as_text(*bytes));
  if (!read) return read.error().in(path);
  return read;
}

}  // namespace potluck
