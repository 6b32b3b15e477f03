#include "coordinator/serving/http/ollama_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_demands.h"
#include "coordinator/serving/http/openai_messages.h"
#include "coordinator/serving/http/sampling_fields.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr size_t kOllamaMessages = 100'000;
constexpr std::array<std::string_view, 4> kOllamaRoles{"system", "user", "assistant", "tool"};

void refuse_images(JsonFields& fields) {
  const JsonValue::Array* images = fields.array("images");
  if (images == nullptr || images->empty()) return;
  fields.fail(not_supported(fields.path("images"),
                            "'images' are not supported: this model reads "
                            "text"));
}

// -1 and -2 mean as many as there is room for.
void read_most(JsonFields& options, CompletionRequest* request) {
  const auto most = options.whole("num_predict", -2, limits::kContext);
  if (!most || *most < 0) return;
  request->max_tokens = static_cast<uint32_t>(*most);
  request->prompt_only = *most == 0;
}

// What both routes have in common, without the prompt.
OllamaRequest read_ollama_fields(JsonFields& fields, const RequestSetting& setting) {
  OllamaRequest parsed;
  CompletionRequest& request = parsed.request;
  fields.text("model");
  parsed.stream = fields.flag("stream").value_or(true);
  request.sampling = setting.sampling;
  request.sampling.seed = setting.seed;
  if (const JsonValue* given = fields.object("options")) {
    JsonFields options(*given, "options", fields.error());
    read_sampling(options, &request.sampling);
    request.stop = read_stop(options, "stop");
    read_most(options, &request);
  }
  return parsed;
}

// "think": true, false, or an effort.
void read_think(JsonFields& fields, Conversation* conversation) {
  const JsonValue* think = fields.find("think");
  if (think == nullptr) return;
  if (const bool* wanted = std::get_if<bool>(&think->data)) {
    conversation->arguments.emplace_back("enable_thinking", JsonValue{*wanted});
  } else if (think->text() != nullptr) {
    add_reasoning_effort(*think->text(), conversation);
  } else {
    fields.fail("think", "'think' must be true, false or a text such as 'low'");
  }
}

void read_calls(JsonFields& message, ChatMessage* into) {
  const JsonValue::Array* calls = message.array("tool_calls");
  for (size_t i = 0; calls != nullptr && i < calls->size() && !message.failed(); ++i) {
    JsonFields call((*calls)[i], fmt::format("{}[{}]", message.path("tool_calls"), i),
                    message.error());
    const JsonValue* function = call.object("function");
    if (function == nullptr) {
      call.fail("function", fmt::format("'{}' is missing", call.path("function")));
      return;
    }
    JsonFields inner(*function, call.path("function"), message.error());
    ToolCall& made = into->tool_calls.emplace_back();
    made.id = call.text("id").value_or("");
    made.name = inner.text("name").value_or("");
    if (made.name.empty()) {
      inner.fail("name", fmt::format("'{}' is missing", inner.path("name")));
    }
    const JsonValue* arguments = inner.find("arguments");
    made.arguments = arguments != nullptr ? *arguments : JsonValue{JsonValue::Object{}};
  }
}

ChatMessage read_ollama_message(const JsonValue& value, const std::string& path,
                                std::optional<ApiError>* error) {
  JsonFields fields(value, path, error);
  ChatMessage message;
  message.role = fields.text("role").value_or("");
  if (std::ranges::find(kOllamaRoles, message.role) == kOllamaRoles.end()) {
    fields.fail("role", fmt::format("'{}' must be one of system, user, assistant and tool",
                                    fields.path("role")));
  }
  message.content = JsonValue{fields.text("content").value_or("")};
  message.reasoning_content = fields.text("thinking");
  message.tool_call_id = fields.text("tool_call_id");
  message.name = fields.text("tool_name");
  refuse_images(fields);
  read_calls(fields, &message);
  return message;
}

void read_ollama_tools(JsonFields& fields, Conversation* conversation) {
  const JsonValue::Array* tools = fields.array("tools", kMostTools);
  if (tools == nullptr) return;
  for (size_t i = 0; i < tools->size() && !fields.failed(); ++i) {
    JsonFields tool((*tools)[i], fmt::format("tools[{}]", i), fields.error());
    const JsonValue* function = tool.object("function");
    if (function == nullptr) {
      tool.fail("function", fmt::format("'{}' is missing", tool.path("function")));
      return;
    }
    JsonFields inner(*function, tool.path("function"), fields.error());
    if (inner.text("name").value_or("").empty()) {
      inner.fail("name", fmt::format("'{}' is missing", inner.path("name")));
    }
    conversation->tools.push_back((*tools)[i]);
  }
}

void add_message(std::string role, std::string text, Conversation* conversation) {
  ChatMessage& message = conversation->messages.emplace_back();
  message.role = std::move(role);
  message.content = JsonValue{std::move(text)};
}

void refuse_unsupported_by_ollama(JsonFields& fields) {
  refuse_images(fields);
  if (!fields.text("suffix").value_or("").empty()) {
    fields.fail(not_supported("suffix", "'suffix' is not supported"));
  }
  if (!fields.text("template").value_or("").empty()) {
    fields.fail(not_supported("template", "'template' is not supported: the model's own is used"));
  }
  const JsonValue::Array* context = fields.array("context");
  if (context != nullptr && !context->empty()) {
    fields.fail(not_supported("context", "'context' is not supported: see /api/chat"));
  }
}

}  // namespace

OllamaParsed parse_ollama_chat(const JsonValue& body, const RequestSetting& setting) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  OllamaRequest parsed = read_ollama_fields(fields, setting);
  Conversation conversation;
  const JsonValue::Array* messages = fields.array("messages", kOllamaMessages);
  for (size_t i = 0; messages != nullptr && i < messages->size() && !error; ++i) {
    conversation.messages.push_back(
        read_ollama_message((*messages)[i], fmt::format("messages[{}]", i), &error));
  }
  read_ollama_tools(fields, &conversation);
  read_think(fields, &conversation);
  parsed.request.grammar =
      apply_demands({}, read_ollama_format(fields), setting, &conversation, fields);
  if (error) return *std::move(error);
  parsed.only_load = conversation.messages.empty();
  parsed.request.prompt = std::move(conversation);
  return parsed;
}

OllamaParsed parse_ollama_generate(const JsonValue& body, const RequestSetting& setting) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  OllamaRequest parsed = read_ollama_fields(fields, setting);
  const bool raw = fields.flag("raw").value_or(false);
  std::string prompt = fields.text("prompt").value_or("");
  const std::string system = fields.text("system").value_or("");
  refuse_unsupported_by_ollama(fields);
  Conversation conversation;
  if (!system.empty()) add_message("system", system, &conversation);
  read_think(fields, &conversation);
  parsed.request.grammar =
      apply_demands({}, read_ollama_format(fields), setting, &conversation, fields);
  if (error) return *std::move(error);
  parsed.only_load = prompt.empty();
  if (raw || (setting.model_known && !setting.model.has_template)) {
    parsed.request.prompt = std::move(prompt);
  } else {
    add_message("user", std::move(prompt), &conversation);
    parsed.request.prompt = std::move(conversation);
  }
  return parsed;
}

}  // namespace potluck
