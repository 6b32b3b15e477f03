#include "coordinator/serving/http/responses_request.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_demands.h"
#include "coordinator/serving/http/json_object.h"
#include "coordinator/serving/http/openai_logprobs.h"
#include "coordinator/serving/http/openai_messages.h"
#include "coordinator/serving/http/sampling_fields.h"
#include "coordinator/serving/http/text_parts.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr size_t kItems = 100'000;
constexpr size_t kIncluded = 100;
constexpr size_t kEchoBytes = 64 * 1024;
constexpr std::array<std::string_view, 3> kResponsesTextTypes{"input_text", "output_text", "text"};
constexpr std::array<std::string_view, 2> kThoughtTypes{"reasoning_text", "text"};
constexpr std::array<std::string_view, 1> kSummaryTypes{"summary_text"};

// The items of a request as messages. What a model said in one turn (thoughts, text, calls) are
// several items, and one message.
class ItemReader {
 public:
  ItemReader(std::vector<ChatMessage>* messages, std::optional<ApiError>* error)
      : messages_(*messages), error_(error) {}

  void read(const JsonValue& item, const std::string& path) {
    JsonFields fields(item, path, error_);
    auto type = fields.text("type");
    if (!type && fields.find("role") != nullptr) type = "message";
    if (type == "message") return read_message(fields);
    if (type == "function_call") return read_call(fields);
    if (type == "function_call_output") return read_result(fields);
    if (type == "reasoning") return read_reasoning(fields);
    fields.fail(
        not_supported(fields.path("type"),
                      fmt::format("items of type '{}' are not supported", type.value_or(""))));
  }

 private:
  void read_message(JsonFields& fields) {
    std::string role = fields.text("role").value_or("");
    JsonValue content{read_joined_text(fields, "content", kResponsesTextTypes)};
    if (fields.find("content") == nullptr) {
      fields.fail("content", fmt::format("'{}' is missing", fields.path("content")));
    }
    if (role == "assistant") {
      ChatMessage& turn = turn_of(model_has_spoken_);
      turn.content = std::move(content);
      model_has_spoken_ = true;
      return;
    }
    if (role == "developer") role = "system";
    if (role != "user" && role != "system") {
      fields.fail("role", fmt::format("'{}' must be one of system, developer, user and assistant",
                                      fields.path("role")));
    }
    push({}, std::move(role), std::move(content));
  }

  // Arguments stay the text that they are: models write broken ones, and clients send them back.
  void read_call(JsonFields& fields) {
    ToolCall call;
    call.id = fields.text("call_id").value_or("");
    call.name = fields.text("name").value_or("");
    if (call.name.empty()) {
      fields.fail("name", fmt::format("'{}' is missing", fields.path("name")));
    }
    std::string arguments = fields.text("arguments").value_or("");
    call.arguments =
        arguments.empty() ? JsonValue{JsonValue::Object{}} : JsonValue{std::move(arguments)};
    turn_of(false).tool_calls.push_back(std::move(call));
    model_has_spoken_ = true;
  }

  void read_result(JsonFields& fields) {
    push(fields.text("call_id"), "tool",
         JsonValue{read_joined_text(fields, "output", kResponsesTextTypes, "\n")});
  }

  void read_reasoning(JsonFields& fields) {
    std::string text = read_joined_text(fields, "content", kThoughtTypes, "\n");
    if (text.empty()) text = read_joined_text(fields, "summary", kSummaryTypes, "\n");
    if (text.empty()) return;  // encrypted by another server
    ChatMessage& turn = turn_of(model_has_spoken_);
    turn.reasoning_content = turn.reasoning_content.value_or("") + text;
  }

  void push(std::optional<std::string> call_id, std::string role, JsonValue content) {
    ChatMessage message;
    message.role = std::move(role);
    message.content = std::move(content);
    message.tool_call_id = std::move(call_id);
    messages_.push_back(std::move(message));
    in_turn_ = false;
  }

  // The message of the model's turn, which begins here unless it is under way.
  ChatMessage& turn_of(bool another) {
    if (!in_turn_ || another) {
      messages_.emplace_back().role = "assistant";
      in_turn_ = true;
      model_has_spoken_ = false;
    }
    return messages_.back();
  }

  std::vector<ChatMessage>& messages_;
  std::optional<ApiError>* error_;
  bool in_turn_ = false;
  bool model_has_spoken_ = false;
};

void read_input(JsonFields& fields, std::vector<ChatMessage>* messages) {
  const JsonValue* input = fields.find("input");
  if (input != nullptr && input->text() != nullptr) {
    ChatMessage message;
    message.role = "user";
    message.content = *input;
    messages->push_back(std::move(message));
    return;
  }
  const JsonValue::Array* items = fields.array("input");
  if (items == nullptr || items->size() > kItems) {
    fields.fail("input",
                fmt::format("'input' must be a text or an array of up to {} items", kItems));
    return;
  }
  ItemReader reader(messages, fields.error());
  for (size_t i = 0; i < items->size() && !fields.failed(); ++i) {
    reader.read((*items)[i], fmt::format("input[{}]", i));
  }
}

// Tools of other types are the provider's own: clients offer them to every server.
void read_responses_tools(JsonFields& fields, Conversation* conversation) {
  const JsonValue::Array* tools = fields.array("tools", kMostTools);
  if (tools == nullptr) return;
  for (size_t i = 0; i < tools->size() && !fields.failed(); ++i) {
    JsonFields tool((*tools)[i], fmt::format("tools[{}]", i), fields.error());
    if (tool.text("type").value_or("") != "function") continue;
    std::string name = tool.text("name").value_or("");
    if (name.empty()) tool.fail("name", fmt::format("'{}' is missing", tool.path("name")));
    conversation->tools.push_back(
        function_tool(std::move(name), tool.find("description"), tool.object("parameters")));
  }
}

// Templates want one system message, at the beginning; clients send instructions and a few more.
std::vector<ChatMessage> with_instructions(const std::string& instructions,
                                           const std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> all;
  std::string text = instructions;
  size_t next = 0;
  for (; next < messages.size() && messages[next].role == "system"; ++next) {
    if (!text.empty()) text += "\n\n";
    text += *messages[next].content.text();
  }
  if (!text.empty()) {
    all.emplace_back().role = "system";
    all.back().content = JsonValue{std::move(text)};
  }
  all.insert(all.end(), messages.begin() + static_cast<std::ptrdiff_t>(next), messages.end());
  return all;
}

void refuse_unsupported_by_responses(JsonFields& fields) {
  const auto refuse = [&](const char* name) {
    fields.fail(not_supported(name, fmt::format("'{}' is not supported", name)));
  };
  if (fields.flag("background").value_or(false)) refuse("background");
  if (fields.find("conversation") != nullptr) refuse("conversation");
  if (fields.find("prompt") != nullptr) refuse("prompt");
}

// OpenAI's server tells them where "include" has this name, and then of so many alternatives. Most
// who give a number want them.
void read_responses_logprobs(JsonFields& fields, CompletionRequest* request) {
  const auto top = fields.whole("top_logprobs", 0, kTopLogprobs);
  bool wanted = top.value_or(0) > 0;
  if (const JsonValue::Array* include = fields.array("include", kIncluded)) {
    for (const JsonValue& name : *include) {
      wanted |= name.text() != nullptr && *name.text() == "message.output_text.logprobs";
    }
  }
  if (wanted) request->top_logprobs = static_cast<uint32_t>(top.value_or(0));
}

AnswerFormat read_responses_format(JsonFields& fields) {
  const JsonValue* text = fields.object("text");
  if (text == nullptr) return {};
  JsonFields inner(*text, "text", fields.error());
  return read_openai_format(inner.object("format"), "text.format", fields.error());
}

void read_effort(JsonFields& fields, Conversation* conversation) {
  const JsonValue* reasoning = fields.object("reasoning");
  if (reasoning == nullptr) return;
  auto effort = JsonFields(*reasoning, "reasoning", fields.error()).text("effort");
  if (effort) add_reasoning_effort(*std::move(effort), conversation);
}

// What clients look for in an answer, and what it is where the request says nothing, or more than
// is worth repeating in every event.
JsonValue::Object echo_of(const JsonFields& fields, const SamplingSettings& sampling, bool store) {
  JsonObject format;
  format.add("format", JsonObject().add("type", "text").take());
  const std::pair<const char*, JsonValue> members[] = {
      {"background", JsonValue{false}},
      {"instructions", {}},
      {"max_output_tokens", {}},
      {"max_tool_calls", {}},
      {"metadata", JsonValue{JsonValue::Object{}}},
      {"parallel_tool_calls", JsonValue{true}},
      {"previous_response_id", {}},
      {"reasoning", JsonObject().add("effort", nullptr).add("summary", nullptr).take()},
      {"service_tier", as_json("default")},
      {"temperature", as_json(sampling.temperature)},
      {"text", format.take()},
      {"tool_choice", as_json("auto")},
      {"tools", JsonValue{JsonValue::Array{}}},
      {"top_logprobs", as_json(0)},
      {"top_p", as_json(sampling.top_p)},
      {"truncation", as_json("disabled")},
      {"user", {}},
  };
  JsonValue::Object echo;
  for (const auto& [name, otherwise] : members) {
    const JsonValue* given = fields.find(name);
    const bool repeated = given != nullptr && write_json(*given).size() <= kEchoBytes;
    echo.emplace_back(name, repeated ? *given : otherwise);
  }
  echo.emplace_back("store", JsonValue{store});
  return echo;
}

}  // namespace

ResponsesParsed parse_responses_request(const JsonValue& body, const RequestSetting& setting,
                                        const ResponseFinder& find) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  ResponsesRequest parsed;
  CompletionRequest& request = parsed.request;
  fields.text("model");
  request.sampling = read_sampling(fields, setting);
  if (const auto most = fields.whole("max_output_tokens", 1, limits::kContext)) {
    request.max_tokens = static_cast<uint32_t>(*most);
  }
  request.user = fields.text("user").value_or("");
  parsed.stream = fields.flag("stream").value_or(false);
  parsed.store = fields.flag("store").value_or(true);
  refuse_unsupported_by_responses(fields);
  read_responses_logprobs(fields, &request);
  if (const auto previous = fields.text("previous_response_id")) {
    const auto stored = find(*previous);
    if (stored == nullptr) {
      fields.fail(invalid_request(
          "previous_response_id",
          fmt::format("there is no response '{}' here, or not any more", *previous)));
      error->code = "previous_response_not_found";
      return *std::move(error);
    }
    parsed.messages = stored->messages;
  }
  read_input(fields, &parsed.messages);
  Conversation conversation;
  read_responses_tools(fields, &conversation);
  read_effort(fields, &conversation);
  const ToolChoice choice = read_openai_tool_choice(fields);
  parsed.one_call = !choice.several;
  request.grammar =
      apply_demands(choice, read_responses_format(fields), setting, &conversation, fields);
  const std::string instructions = fields.text("instructions").value_or("");
  if (!error && parsed.messages.empty()) fields.fail("input", "'input' holds no message");
  if (error) return *std::move(error);
  conversation.messages = with_instructions(instructions, parsed.messages);
  request.prompt = std::move(conversation);
  parsed.echo = echo_of(fields, request.sampling, parsed.store);
  return parsed;
}

}  // namespace potluck
