#include "coordinator/serving/admission.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

uint64_t bytes_held(const std::string& text) {
  return text.size();
}

uint64_t bytes_held(const std::optional<std::string>& text) {
  return text ? text->size() : 0;
}

// Nesting is bounded where JSON is read.
uint64_t bytes_held(const JsonValue& value) {
  uint64_t bytes = sizeof(JsonValue);
  if (const std::string* text = value.text()) return bytes + text->size();
  if (const JsonValue::Array* array = value.array()) {
    for (const JsonValue& item : *array) bytes += bytes_held(item);
  }
  if (const JsonValue::Object* object = value.object()) {
    for (const auto& [name, member] : *object) {
      bytes += sizeof name + name.size() + bytes_held(member);
    }
  }
  return bytes;
}

uint64_t bytes_held(const ChatMessage& message) {
  uint64_t bytes = sizeof message + message.role.size() + bytes_held(message.content) +
                   bytes_held(message.reasoning_content) + bytes_held(message.tool_call_id) +
                   bytes_held(message.name);
  for (const ToolCall& call : message.tool_calls) {
    bytes += sizeof call + call.id.size() + call.name.size() + bytes_held(call.arguments);
  }
  return bytes;
}

uint64_t bytes_held(const Conversation& conversation) {
  uint64_t bytes = 0;
  for (const ChatMessage& message : conversation.messages) bytes += bytes_held(message);
  for (const JsonValue& tool : conversation.tools) bytes += bytes_held(tool);
  for (const auto& [name, value] : conversation.arguments) bytes += name.size() + bytes_held(value);
  return bytes;
}

uint64_t bytes_held(const std::vector<TokenId>& tokens) {
  return tokens.size() * sizeof(TokenId);
}

uint64_t bytes_held(const Grammar& grammar) {
  return grammar.nodes.size() * sizeof(GrammarNode) + grammar.edges.size() * sizeof(GrammarEdge) +
         (grammar.jumps.size() + grammar.entries.size()) * sizeof(uint32_t);
}

}  // namespace

uint64_t settings_bytes(const CompletionRequest& request) {
  uint64_t bytes =
      sizeof request + request.user.size() + request.sampling.logit_bias.size() * sizeof(LogitBias);
  for (const std::string& stop : request.stop) bytes += sizeof stop + stop.size();
  if (request.grammar != nullptr) bytes += bytes_held(*request.grammar);
  return bytes;
}

uint64_t waiting_bytes(const CompletionRequest& request) {
  auto prompt = [](const auto& given) { return bytes_held(given); };
  return settings_bytes(request) + std::visit(prompt, request.prompt);
}

CompletionFailed too_long_for(size_t prompt_tokens, uint32_t context, const KvPrice& price,
                              uint64_t budget) {
  CompletionFailed failed{CompletionFault::kTooLong, {}, 0, context, 0};
  auto positions = static_cast<uint32_t>(std::min<size_t>(prompt_tokens, UINT32_MAX));
  uint64_t needed = price.of(positions);
  const char* advice = needed > budget
                           ? "shorten it, or see to more memory and a larger context (--ctx)"
                           : "shorten it, or ask for a larger context (--ctx)";
  failed.message = fmt::format(
      "the prompt has {} tokens, which need {} for keys and values; the context has room for {} "
      "tokens, and all requests together for {}: {}",
      prompt_tokens, format_bytes(needed), context, format_bytes(budget), advice);
  failed.prompt_tokens = positions;
  return failed;
}

CompletionFailed too_many_wait(const QueueFill& queue, uint32_t retry_after_seconds) {
  std::string text =
      fmt::format("{} requests wait already, which is the most; try again in {} s or later",
                  queue.requests, retry_after_seconds);
  return {CompletionFault::kOverloaded, std::move(text), 0, 0, retry_after_seconds};
}

CompletionFailed too_much_waits(const QueueFill& queue, uint64_t bytes,
                                uint32_t retry_after_seconds) {
  std::string text = fmt::format(
      "the request takes {} while it waits; others that wait take {}, and all may take {}: try "
      "again in {} s or later",
      format_bytes(bytes), format_bytes(queue.bytes), format_bytes(queue.most_bytes),
      retry_after_seconds);
  return {CompletionFault::kOverloaded, std::move(text), 0, 0, retry_after_seconds};
}

}  // namespace potluck
