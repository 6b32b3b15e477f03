#include "coordinator/serving/http/anthropic_request.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_demands.h"
#include "coordinator/serving/http/json_object.h"
#include "coordinator/serving/http/sampling_fields.h"
#include "coordinator/serving/http/text_parts.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr size_t kAnthropicMessages = 100'000;
constexpr std::array<std::string_view, 1> kAnthropicTextTypes{"text"};
constexpr std::string_view kParagraph = "\n\n";

JsonValue text_part(std::string text) {
  return JsonObject().add("type", "text").add("text", std::move(text)).take();
}

// One message of a request, whose blocks may become several of a conversation.
class MessageReader {
 public:
  MessageReader(std::vector<ChatMessage>* messages, std::optional<ApiError>* error)
      : messages_(*messages), error_(error) {}

  void read(const JsonValue& value, const std::string& path) {
    JsonFields fields(value, path, error_);
    message_ = {};
    parts_.clear();
    message_.role = fields.text("role").value_or("");
    if (message_.role != "user" && message_.role != "assistant" && message_.role != "system") {
      fields.fail("role", fmt::format("'{}' must be user or assistant", fields.path("role")));
      return;
    }
    const JsonValue* content = fields.find("content");
    if (content != nullptr && content->text() != nullptr) {
      message_.content = *content;
      messages_.push_back(std::move(message_));
      return;
    }
    const JsonValue::Array* blocks = fields.array("content");
    if (blocks == nullptr) {
      fields.fail("content", fmt::format("'{}' is missing", fields.path("content")));
      return;
    }
    for (size_t i = 0; i < blocks->size() && !fields.failed(); ++i) {
      read_block((*blocks)[i], fmt::format("{}[{}]", fields.path("content"), i));
    }
    flush();
  }

 private:
  void read_block(const JsonValue& block, const std::string& path) {
    JsonFields fields(block, path, error_);
    const std::string type = fields.text("type").value_or("");
    const bool mine = message_.role == "assistant";
    if (mine && type == "thinking") {
      message_.reasoning_content =
          message_.reasoning_content.value_or("") + fields.text("thinking").value_or("");
    } else if (mine && type == "redacted_thinking") {
      return;  // nothing that this model could read
    } else if (mine && type == "tool_use") {
      read_call(fields);
    } else if (!mine && type == "tool_result") {
      read_result(fields);
    } else {
      parts_.push_back(text_part(read_text_part(block, path, kAnthropicTextTypes, error_)));
    }
  }

  void read_call(JsonFields& fields) {
    ToolCall call;
    call.id = fields.text("id").value_or("");
    call.name = fields.text("name").value_or("");
    if (call.name.empty()) {
      fields.fail("name", fmt::format("'{}' is missing", fields.path("name")));
    }
    const JsonValue* input = fields.object("input");
    call.arguments = input != nullptr ? *input : JsonValue{JsonValue::Object{}};
    message_.tool_calls.push_back(std::move(call));
  }

  // Results are messages of their own for templates; text before and behind them keeps its place.
  void read_result(JsonFields& fields) {
    flush();
    ChatMessage result;
    result.role = "tool";
    result.tool_call_id = fields.text("tool_use_id");
    result.content = JsonValue{read_joined_text(fields, "content", kAnthropicTextTypes, "\n")};
    messages_.push_back(std::move(result));
  }

  void flush() {
    const bool says_nothing =
        parts_.empty() && message_.tool_calls.empty() && !message_.reasoning_content;
    if (says_nothing) return;
    if (parts_.size() == 1) {
      message_.content = *JsonFields(parts_[0], "", error_).find("text");
    } else if (!parts_.empty()) {
      message_.content = JsonValue{std::exchange(parts_, {})};
    }
    parts_.clear();
    ChatMessage next;
    next.role = message_.role;
    messages_.push_back(std::exchange(message_, std::move(next)));
  }

  std::vector<ChatMessage>& messages_;
  std::optional<ApiError>* error_;
  ChatMessage message_;
  JsonValue::Array parts_;
};

// Claude Code writes a line for billing before everything else, another one in each request: the
// model has no use for it, and nothing behind it could be taken from the request before.
bool is_billing(const JsonValue& block) {
  if (block.object() == nullptr) return false;
  std::optional<ApiError> ignored;
  const auto text = JsonFields(block, "", &ignored).text("text");
  return text && text->starts_with("x-anthropic-billing-header:");
}

void read_system(JsonFields& fields, Conversation* conversation) {
  const JsonValue* system = fields.find("system");
  if (system == nullptr) return;
  std::string text;
  const JsonValue::Array* blocks = system->array();
  if (blocks != nullptr && !blocks->empty() && is_billing(blocks->front())) {
    const JsonValue rest =
        JsonObject().add("system", JsonValue::Array(blocks->begin() + 1, blocks->end())).take();
    JsonFields inner(rest, "", fields.error());
    text = read_joined_text(inner, "system", kAnthropicTextTypes, kParagraph);
  } else {
    text = read_joined_text(fields, "system", kAnthropicTextTypes, kParagraph);
  }
  if (text.empty()) return;
  ChatMessage message;
  message.role = "system";
  message.content = JsonValue{std::move(text)};
  conversation->messages.push_back(std::move(message));
}

void read_anthropic_messages(JsonFields& fields, Conversation* conversation) {
  const JsonValue::Array* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kAnthropicMessages) {
    fields.fail("messages",
                fmt::format("'messages' must be an array of 1 to {} messages", kAnthropicMessages));
    return;
  }
  MessageReader reader(&conversation->messages, fields.error());
  for (size_t i = 0; i < messages->size() && !fields.failed(); ++i) {
    reader.read((*messages)[i], fmt::format("messages[{}]", i));
  }
  if (conversation->messages.empty()) fields.fail("messages", "'messages' hold no content");
}

void read_anthropic_tools(JsonFields& fields, Conversation* conversation) {
  const JsonValue::Array* tools = fields.array("tools", kMostTools);
  if (tools == nullptr) return;
  for (size_t i = 0; i < tools->size() && !fields.failed(); ++i) {
    JsonFields tool((*tools)[i], fmt::format("tools[{}]", i), fields.error());
    const std::string type = tool.text("type").value_or("custom");
    if (type != "custom") {
      tool.fail(not_supported(
          tool.path("type"),
          fmt::format("tools of type '{}' are not supported, only those with an 'input_schema'",
                      type)));
    }
    std::string name = tool.text("name").value_or("");
    if (name.empty()) tool.fail("name", fmt::format("'{}' is missing", tool.path("name")));
    conversation->tools.push_back(
        function_tool(std::move(name), tool.find("description"), tool.object("input_schema")));
  }
}

void read_thinking(JsonFields& fields, Conversation* conversation) {
  if (const JsonValue* thinking = fields.object("thinking")) {
    JsonFields inner(*thinking, "thinking", fields.error());
    const bool wanted = inner.text("type").value_or("") != "disabled";
    conversation->arguments.emplace_back("enable_thinking", JsonValue{wanted});
  }
  if (const JsonValue* config = fields.object("output_config")) {
    JsonFields inner(*config, "output_config", fields.error());
    if (auto effort = inner.text("effort")) {
      conversation->arguments.emplace_back("reasoning_effort", JsonValue{*std::move(effort)});
    }
  }
}

std::string read_user(JsonFields& fields) {
  const JsonValue* metadata = fields.object("metadata");
  if (metadata == nullptr) return {};
  return JsonFields(*metadata, "metadata", fields.error()).text("user_id").value_or("");
}

// {"output_config": {"format": {"type": "json_schema", "schema": {..}}}}, and the older name.
AnswerFormat read_anthropic_format(JsonFields& fields) {
  const JsonValue* format = fields.object("output_format");
  if (format != nullptr) return read_openai_format(format, "output_format", fields.error());
  const JsonValue* config = fields.object("output_config");
  if (config == nullptr) return {};
  JsonFields inner(*config, "output_config", fields.error());
  return read_openai_format(inner.object("format"), "output_config.format", fields.error());
}

}  // namespace

AnthropicParsed parse_anthropic_request(const JsonValue& body, const RequestSetting& setting) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  AnthropicRequest parsed;
  CompletionRequest& request = parsed.request;
  fields.text("model");
  request.sampling = read_sampling(fields, setting);
  if (const auto most = fields.whole("max_tokens", 1, limits::kContext)) {
    request.max_tokens = static_cast<uint32_t>(*most);
  }
  request.stop = read_stop(fields, "stop_sequences");
  request.user = read_user(fields);
  parsed.stream = fields.flag("stream").value_or(false);
  Conversation conversation;
  read_system(fields, &conversation);
  read_anthropic_messages(fields, &conversation);
  read_anthropic_tools(fields, &conversation);
  read_thinking(fields, &conversation);
  const ToolChoice choice = read_anthropic_tool_choice(fields);
  parsed.one_call = !choice.several;
  request.grammar =
      apply_demands(choice, read_anthropic_format(fields), setting, &conversation, fields);
  if (error) return *std::move(error);
  request.prompt = std::move(conversation);
  return parsed;
}

}  // namespace potluck
