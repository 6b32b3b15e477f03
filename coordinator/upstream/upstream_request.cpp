#include "coordinator/upstream/upstream_request.h"

#include <algorithm>

#include "coordinator/serving/http/json_object.h"

namespace potluck {
namespace {

constexpr std::string_view kEffort = "reasoning_effort";
// Whether a model thinks is the template's business here and the server's there.
constexpr std::string_view kThinking = "enable_thinking";
// Anthropic's API wants to be told.
constexpr uint32_t kAnthropicTokens = 8192;

std::string unfit_sampling(const SamplingSettings& sampling, UpstreamStyle style) {
  if (!sampling.logit_bias.empty()) return "logit_bias";
  if (sampling.min_p != 0) return "min_p";
  if (sampling.repeat_penalty != 1) return "repeat_penalty";
  const bool openai = style == UpstreamStyle::kOpenAi;
  if (openai && sampling.top_k != 0) return "top_k";
  if (!openai && sampling.presence_penalty != 0) return "presence_penalty";
  if (!openai && sampling.frequency_penalty != 0) return "frequency_penalty";
  return {};
}

const JsonValue* argument_of(const Conversation& conversation, std::string_view name) {
  for (const auto& [key, value] : conversation.arguments) {
    if (key == name) return &value;
  }
  return nullptr;
}

// What differs from this server's own defaults: another server has its own.
void add_sampling(const SamplingSettings& sampling, JsonObject* body) {
  const SamplingSettings usual;
  if (sampling.temperature != usual.temperature) body->add("temperature", sampling.temperature);
  if (sampling.top_p != usual.top_p) body->add("top_p", sampling.top_p);
}

JsonValue text_list(const std::vector<std::string>& texts) {
  JsonValue::Array list;
  for (const std::string& text : texts) {
    if (!text.empty()) list.push_back(as_json(text));
  }
  return JsonValue{std::move(list)};
}

// OpenAI has arguments as a text, Anthropic as an object.
std::string as_arguments_text(const JsonValue& arguments) {
  return arguments.text() != nullptr ? *arguments.text() : write_json(arguments);
}

JsonValue as_arguments_object(const JsonValue& arguments) {
  if (arguments.text() == nullptr) return arguments;
  auto parsed = parse_json(*arguments.text());
  if (parsed && parsed->object() != nullptr) return *std::move(parsed);
  return JsonValue{JsonValue::Object()};
}

JsonValue openai_calls(const std::vector<ToolCall>& calls) {
  JsonValue::Array list;
  for (const ToolCall& call : calls) {
    list.push_back(JsonObject()
                       .add("id", call.id)
                       .add("type", "function")
                       .add("function", JsonObject()
                                            .add("name", call.name)
                                            .add("arguments", as_arguments_text(call.arguments))
                                            .take())
                       .take());
  }
  return JsonValue{std::move(list)};
}

// Thoughts stay: servers of this style do not take them back.
JsonValue openai_message(const ChatMessage& message) {
  JsonObject object;
  object.add("role", message.role).add("content", message.content);
  if (!message.tool_calls.empty()) object.add("tool_calls", openai_calls(message.tool_calls));
  if (message.tool_call_id) object.add("tool_call_id", *message.tool_call_id);
  if (message.name) object.add("name", *message.name);
  return object.take();
}

std::string openai_body(const CompletionRequest& request, const std::string& model) {
  const auto& conversation = std::get<Conversation>(request.prompt);
  JsonValue::Array messages;
  for (const ChatMessage& message : conversation.messages) {
    messages.push_back(openai_message(message));
  }
  JsonObject body;
  body.add("model", model).add("messages", std::move(messages)).add("stream", true);
  body.add("stream_options", JsonObject().add("include_usage", true).take());
  if (request.max_tokens > 0) body.add("max_tokens", request.max_tokens);
  add_sampling(request.sampling, &body);
  const SamplingSettings& sampling = request.sampling;
  if (sampling.presence_penalty != 0) body.add("presence_penalty", sampling.presence_penalty);
  if (sampling.frequency_penalty != 0) body.add("frequency_penalty", sampling.frequency_penalty);
  if (!request.stop.empty()) body.add("stop", text_list(request.stop));
  if (!conversation.tools.empty()) body.add("tools", JsonValue::Array(conversation.tools));
  if (const JsonValue* effort = argument_of(conversation, kEffort)) body.add(kEffort, *effort);
  return write_json(body.take());
}

JsonValue text_block(std::string text) {
  return JsonObject().add("type", "text").add("text", std::move(text)).take();
}

JsonValue::Array anthropic_blocks(const ChatMessage& message) {
  JsonValue::Array blocks;
  std::string text = text_of_content(message.content);
  if (message.role == "tool") {
    blocks.push_back(JsonObject()
                         .add("type", "tool_result")
                         .add("tool_use_id", message.tool_call_id.value_or(""))
                         .add("content", std::move(text))
                         .take());
    return blocks;
  }
  if (!text.empty()) blocks.push_back(text_block(std::move(text)));
  for (const ToolCall& call : message.tool_calls) {
    blocks.push_back(JsonObject()
                         .add("type", "tool_use")
                         .add("id", call.id)
                         .add("name", call.name)
                         .add("input", as_arguments_object(call.arguments))
                         .take());
  }
  return blocks;
}

struct AnthropicTurns {
  std::string system;
  JsonValue::Array messages;
};

// Turns alternate there: what one side says in a row is one message.
AnthropicTurns anthropic_turns(const std::vector<ChatMessage>& all) {
  AnthropicTurns turns;
  JsonValue::Array blocks;
  std::string role;
  const auto close = [&] {
    if (!blocks.empty()) {
      turns.messages.push_back(
          JsonObject().add("role", role).add("content", std::exchange(blocks, {})).take());
    }
  };
  for (const ChatMessage& message : all) {
    if (message.role == "system" || message.role == "developer") {
      if (!turns.system.empty()) turns.system += "\n\n";
      turns.system += text_of_content(message.content);
      continue;
    }
    const std::string side = message.role == "assistant" ? "assistant" : "user";
    if (side != role) close();
    role = side;
    for (JsonValue& block : anthropic_blocks(message)) blocks.push_back(std::move(block));
  }
  close();
  return turns;
}

const JsonValue* member_of(const JsonValue& value, std::string_view name) {
  if (value.object() == nullptr) return nullptr;
  for (const auto& [key, member] : *value.object()) {
    if (key == name) return &member;
  }
  return nullptr;
}

JsonValue anthropic_tools(const std::vector<JsonValue>& tools) {
  JsonValue::Array list;
  for (const JsonValue& tool : tools) {
    const JsonValue* function = member_of(tool, "function");
    if (function == nullptr) continue;
    JsonObject object;
    if (const JsonValue* name = member_of(*function, "name")) object.add("name", *name);
    if (const JsonValue* told = member_of(*function, "description")) {
      object.add("description", *told);
    }
    const JsonValue* schema = member_of(*function, "parameters");
    object.add("input_schema",
               schema != nullptr ? *schema : JsonObject().add("type", "object").take());
    list.push_back(object.take());
  }
  return JsonValue{std::move(list)};
}

std::string anthropic_body(const CompletionRequest& request, const std::string& model) {
  const auto& conversation = std::get<Conversation>(request.prompt);
  AnthropicTurns turns = anthropic_turns(conversation.messages);
  JsonObject body;
  body.add("model", model)
      .add("max_tokens", request.max_tokens > 0 ? request.max_tokens : kAnthropicTokens)
      .add("stream", true);
  if (!turns.system.empty()) body.add("system", std::move(turns.system));
  body.add("messages", std::move(turns.messages));
  add_sampling(request.sampling, &body);
  if (request.sampling.top_k > 0) body.add("top_k", request.sampling.top_k);
  if (!request.stop.empty()) body.add("stop_sequences", text_list(request.stop));
  if (!conversation.tools.empty()) body.add("tools", anthropic_tools(conversation.tools));
  return write_json(body.take());
}

}  // namespace

std::string unfit_part(const CompletionRequest& request, UpstreamStyle style) {
  const auto* conversation = std::get_if<Conversation>(&request.prompt);
  if (conversation == nullptr || !conversation->add_generation_prompt) return "prompt";
  if (request.siblings > 0) return "n";
  if (request.grammar != nullptr) return "a given form of the answer, or a tool_choice";
  if (request.top_logprobs) return "logprobs";
  if (request.ignore_end) return "ignore_eos";
  if (request.prompt_only) return "a request for no answer";
  for (const auto& [name, value] : conversation->arguments) {
    const bool effort = name == kEffort && style == UpstreamStyle::kOpenAi;
    if (name != kThinking && !effort) return "the template's argument " + name;
  }
  return unfit_sampling(request.sampling, style);
}

std::string upstream_body(const CompletionRequest& request, UpstreamStyle style,
                          const std::string& model) {
  return style == UpstreamStyle::kOpenAi ? openai_body(request, model)
                                         : anthropic_body(request, model);
}

const std::string& upstream_model(const Upstream& upstream, const std::string& asked) {
  const auto found = std::ranges::find(upstream.models, asked);
  return found != upstream.models.end() ? *found : upstream.models.front();
}

}  // namespace potluck
