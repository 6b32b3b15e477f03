#include "coordinator/serving/http/anthropic_answer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr std::string_view kPing = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
// Clients leave out thoughts without a signature when they send a conversation back.
constexpr std::string_view kSignature = "potluck";

std::string_view error_type(const ApiError& error) {
  switch (error.status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
      return "timeout_error";
    case 413:
    case 431:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return error.status < 500 ? "invalid_request_error" : "api_error";
  }
}

// Clients find out by this sentence that they have to shorten a conversation.
std::string error_message(const ApiError& error) {
  if (!error.prompt_tokens || !error.context) return error.message;
  return fmt::format("prompt is too long: {} tokens > {} maximum", *error.prompt_tokens,
                     *error.context);
}

// What was taken from the cache is not counted as input.
JsonValue anthropic_usage(const CompletionUsage& usage) {
  return JsonObject()
      .add("input_tokens", usage.prompt_tokens - std::min(usage.prompt_tokens, usage.cached_tokens))
      .add("cache_creation_input_tokens", 0)
      .add("cache_read_input_tokens", usage.cached_tokens)
      .add("output_tokens", usage.completion_tokens)
      .take();
}

bool has_calls(const AnswerBlocks& blocks) {
  return std::ranges::any_of(blocks.blocks(), [](const AnswerBlock& block) {
    return block.kind == AnswerBlock::Kind::kCall;
  });
}

std::string_view stop_reason(const CompletionFinished& finished, const AnswerBlocks& blocks) {
  if (finished.reason == FinishReason::kLength) return "max_tokens";
  if (finished.reason == FinishReason::kStopString) return "stop_sequence";
  return has_calls(blocks) ? "tool_use" : "end_turn";
}

JsonValue stop_sequence(const CompletionFinished& finished) {
  if (finished.reason != FinishReason::kStopString) return {};
  return JsonValue{finished.stop_string};
}

JsonValue block_json(const AnswerBlock& block) {
  JsonObject object;
  switch (block.kind) {
    case AnswerBlock::Kind::kReasoning:
      object.add("type", "thinking").add("thinking", block.text).add("signature", kSignature);
      break;
    case AnswerBlock::Kind::kText:
      object.add("type", "text").add("text", block.text);
      break;
    case AnswerBlock::Kind::kCall:
      object.add("type", "tool_use")
          .add("id", block.call.id)
          .add("name", block.call.name)
          .add("input", arguments_object(block.call.arguments));
      break;
  }
  return object.take();
}

// As a stream begins it.
JsonValue empty_block_json(const AnswerBlock& block) {
  JsonObject object;
  switch (block.kind) {
    case AnswerBlock::Kind::kReasoning:
      object.add("type", "thinking").add("thinking", "").add("signature", "");
      break;
    case AnswerBlock::Kind::kText:
      object.add("type", "text").add("text", "");
      break;
    case AnswerBlock::Kind::kCall:
      object.add("type", "tool_use")
          .add("id", block.call.id)
          .add("name", block.call.name)
          .add("input", JsonValue::Object());
      break;
  }
  return object.take();
}

JsonValue message_json(const AnswerIdentity& identity, JsonValue::Array content,
                       JsonValue stop_reason, JsonValue stop_sequence, JsonValue usage) {
  return JsonObject()
      .add("id", identity.id)
      .add("type", "message")
      .add("role", "assistant")
      .add("model", identity.model)
      .add("content", std::move(content))
      .add("stop_reason", std::move(stop_reason))
      .add("stop_sequence", std::move(stop_sequence))
      .add("usage", std::move(usage))
      .take();
}

}  // namespace

JsonValue anthropic_error(const ApiError& error) {
  JsonObject inner;
  inner.add("type", error_type(error)).add("message", error_message(error));
  if (error.param) inner.add("param", *error.param);
  return JsonObject().add("type", "error").add("error", inner.take()).take();
}

std::string AnthropicBodyWriter::take(size_t /*choice*/, const CompletionEvent& event) {
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) blocks_.take(*delta, nullptr);
  const auto* finished = std::get_if<CompletionFinished>(&event);
  if (finished == nullptr) return {};
  done_ = true;
  JsonValue::Array content;
  for (const AnswerBlock& block : blocks_.blocks()) content.push_back(block_json(block));
  return write_json(message_json(identity_, std::move(content),
                                 as_json(stop_reason(*finished, blocks_)), stop_sequence(*finished),
                                 anthropic_usage(finished->usage)));
}

std::string AnthropicStreamWriter::take(size_t /*choice*/, const CompletionEvent& event) {
  const auto* admitted = std::get_if<CompletionAdmitted>(&event);
  if (!begun_) begin(admitted != nullptr ? admitted->prompt_tokens : 0);
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) blocks_.take(*delta, this);
  if (const auto* finished = std::get_if<CompletionFinished>(&event)) end(*finished);
  return std::exchange(bytes_, {});
}

// How much of the prompt is cached is not known yet; message_delta says it.
void AnthropicStreamWriter::begin(uint32_t prompt_tokens) {
  begun_ = true;
  event(
      "message_start",
      std::move(JsonObject().add(
          "message", message_json(identity_, {}, {}, {}, anthropic_usage({prompt_tokens, 0, 0})))));
  bytes_ += kPing;
}

void AnthropicStreamWriter::end(const CompletionFinished& finished) {
  done_ = true;
  blocks_.finish(this);
  JsonObject members;
  members
      .add("delta", JsonObject()
                        .add("stop_reason", stop_reason(finished, blocks_))
                        .add("stop_sequence", stop_sequence(finished))
                        .take())
      .add("usage", anthropic_usage(finished.usage));
  event("message_delta", std::move(members));
  event("message_stop", {});
}

std::string AnthropicStreamWriter::failure(const ApiError& error) const {
  return sse_event("error", anthropic_error(error));
}

std::string_view AnthropicStreamWriter::idle_comment() const {
  return kPing;
}

void AnthropicStreamWriter::event(std::string_view type, JsonObject members) {
  JsonValue value = JsonObject().add("type", type).take();
  JsonValue rest = members.take();
  auto& all = std::get<JsonValue::Object>(value.data);
  for (auto& member : std::get<JsonValue::Object>(rest.data)) all.push_back(std::move(member));
  bytes_ += sse_event(type, value);
}

void AnthropicStreamWriter::delta(size_t index, JsonValue delta) {
  JsonObject members;
  members.add("index", index).add("delta", std::move(delta));
  event("content_block_delta", std::move(members));
}

void AnthropicStreamWriter::opened(size_t index, const AnswerBlock& block) {
  JsonObject members;
  members.add("index", index).add("content_block", empty_block_json(block));
  event("content_block_start", std::move(members));
}

void AnthropicStreamWriter::grew(size_t index, const AnswerBlock& block, std::string_view text,
                                 size_t /*logprobs*/) {
  // An input is an object: whether the arguments are one shows at their end.
  if (block.kind == AnswerBlock::Kind::kCall) return;
  const bool thinks = block.kind == AnswerBlock::Kind::kReasoning;
  delta(index, JsonObject()
                   .add("type", thinks ? "thinking_delta" : "text_delta")
                   .add(thinks ? "thinking" : "text", text)
                   .take());
}

void AnthropicStreamWriter::closed(size_t index, const AnswerBlock& block) {
  if (block.kind == AnswerBlock::Kind::kReasoning) {
    delta(index, JsonObject().add("type", "signature_delta").add("signature", kSignature).take());
  }
  if (block.kind == AnswerBlock::Kind::kCall) {
    delta(index, JsonObject()
                     .add("type", "input_json_delta")
                     .add("partial_json", write_json(arguments_object(block.call.arguments)))
                     .take());
  }
  JsonObject members;
  members.add("index", index);
  event("content_block_stop", std::move(members));
}

}  // namespace potluck
