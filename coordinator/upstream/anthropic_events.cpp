#include "coordinator/upstream/anthropic_events.h"

#include "coordinator/upstream/event_fields.h"

namespace potluck {
namespace {

FinishReason anthropic_reason(const std::string& reason) {
  if (reason == "max_tokens") return FinishReason::kLength;
  if (reason == "tool_use") return FinishReason::kToolCalls;
  if (reason == "stop_sequence") return FinishReason::kStopString;
  return FinishReason::kStop;
}

}  // namespace

Status AnthropicEvents::read(const JsonValue& event, AnswerPiece* piece) {
  const std::string type = event_text_or_empty(event, "type");
  if (type == "error") {
    return Error{ErrorCode::kRefused, "it tells of an error in the middle of its answer"};
  }
  if (type == "message_start") return read_begin(event);
  if (type == "ping") return {};
  if (!begun_) return Error{ErrorCode::kCorrupt, "it sends an event before its answer begins"};
  if (type == "content_block_start") return read_block(event, piece);
  if (type == "content_block_delta") return read_delta(event, piece);
  if (type == "content_block_stop") close_call(piece);
  if (type == "message_delta") read_end(event);
  if (type == "message_stop") return finish();
  return {};
}

// What was taken from a cache is not counted as input there, and is here.
Status AnthropicEvents::read_begin(const JsonValue& event) {
  const JsonValue* message = event_member(event, "message");
  if (message == nullptr) return Error{ErrorCode::kCorrupt, "it begins without a message"};
  begun_ = true;
  const JsonValue* usage = event_member(*message, "usage");
  if (usage == nullptr) return {};
  usage_.cached_tokens = event_count(*usage, "cache_read_input_tokens");
  usage_.prompt_tokens = event_count(*usage, "input_tokens") + usage_.cached_tokens;
  return {};
}

Status AnthropicEvents::read_block(const JsonValue& event, AnswerPiece* piece) {
  const JsonValue* block = event_member(event, "content_block");
  if (block == nullptr) return Error{ErrorCode::kCorrupt, "it begins a block that is none"};
  const std::string type = event_text_or_empty(*block, "type");
  if (type == "tool_use") {
    return begin_call(event_text_or_empty(*block, "id"), event_text_or_empty(*block, "name"),
                      piece);
  }
  if (type == "thinking")
    return add_text(&piece->reasoning, event_text_or_empty(*block, "thinking"));
  return add_text(&piece->content, event_text_or_empty(*block, "text"));
}

Status AnthropicEvents::read_delta(const JsonValue& event, AnswerPiece* piece) {
  const JsonValue* delta = event_member(event, "delta");
  if (delta == nullptr) return Error{ErrorCode::kCorrupt, "it sends a delta that is none"};
  if (const std::string* text = event_text(*delta, "text")) return add_text(&piece->content, *text);
  if (const std::string* text = event_text(*delta, "thinking")) {
    return add_text(&piece->reasoning, *text);
  }
  if (const std::string* text = event_text(*delta, "partial_json")) return grow_call(*text, piece);
  return {};  // signatures and citations
}

void AnthropicEvents::read_end(const JsonValue& event) {
  if (const JsonValue* delta = event_member(event, "delta")) {
    if (const std::string* reason = event_text(*delta, "stop_reason")) {
      reason_ = anthropic_reason(*reason);
      stop_string_ = event_text_or_empty(*delta, "stop_sequence");
    }
  }
  const JsonValue* usage = event_member(event, "usage");
  if (usage == nullptr) return;
  usage_.completion_tokens = event_count(*usage, "output_tokens");
  // Only some servers know this from the beginning.
  const uint32_t cached = event_count(*usage, "cache_read_input_tokens");
  const uint32_t input = event_count(*usage, "input_tokens");
  if (cached + input == 0) return;
  usage_.cached_tokens = cached;
  usage_.prompt_tokens = input + cached;
}

}  // namespace potluck
