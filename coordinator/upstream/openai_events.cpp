#include "coordinator/upstream/openai_events.h"

#include "coordinator/upstream/event_fields.h"

namespace potluck {
namespace {

FinishReason openai_reason(const std::string& reason) {
  if (reason == "length") return FinishReason::kLength;
  if (reason == "tool_calls" || reason == "function_call") return FinishReason::kToolCalls;
  return FinishReason::kStop;
}

}  // namespace

// Usage comes in an event of its own behind the last choice; a server that sends none ends with
// [DONE].
Status OpenAiEvents::read(const JsonValue& event, AnswerPiece* piece) {
  if (event_member(event, "error") != nullptr) {
    return Error{ErrorCode::kRefused, "it tells of an error in the middle of its answer"};
  }
  const JsonValue* choices = event_member(event, "choices");
  if (choices == nullptr || choices->array() == nullptr || choices->array()->size() > 1) {
    return Error{ErrorCode::kCorrupt, "it sends an event without one choice"};
  }
  begun_ = true;
  if (const JsonValue* usage = event_member(event, "usage")) read_usage(*usage);
  if (!choices->array()->empty()) {
    if (Status taken = read_choice(choices->array()->front(), piece); !taken) return taken;
  }
  return {};
}

Status OpenAiEvents::read_choice(const JsonValue& choice, AnswerPiece* piece) {
  if (const JsonValue* delta = event_member(choice, "delta")) {
    if (Status taken = read_delta(*delta, piece); !taken) return taken;
  }
  if (const std::string* reason = event_text(choice, "finish_reason")) {
    close_call(piece);
    reason_ = openai_reason(*reason);
  }
  return {};
}

Status OpenAiEvents::read_delta(const JsonValue& delta, AnswerPiece* piece) {
  const std::string* thought = event_text(delta, "reasoning_content");
  if (thought == nullptr) thought = event_text(delta, "reasoning");
  if (thought != nullptr) {
    if (Status added = add_text(&piece->reasoning, *thought); !added) return added;
  }
  if (const std::string* text = event_text(delta, "content")) {
    if (Status added = add_text(&piece->content, *text); !added) return added;
  }
  const JsonValue* calls = event_member(delta, "tool_calls");
  if (calls == nullptr || calls->array() == nullptr) return {};
  return read_calls(*calls->array(), piece);
}

Status OpenAiEvents::read_calls(const JsonValue::Array& calls, AnswerPiece* piece) {
  for (const JsonValue& call : calls) {
    const JsonValue* function = event_member(call, "function");
    if (function == nullptr)
      return Error{ErrorCode::kCorrupt, "it calls something else than tools"};
    const int64_t index = event_count(call, "index");
    if (call_index_ != index) {
      call_index_ = index;
      Status begun = begin_call(event_text_or_empty(call, "id"),
                                event_text_or_empty(*function, "name"), piece);
      if (!begun) return begun;
    }
    Status grown = grow_call(event_text_or_empty(*function, "arguments"), piece);
    if (!grown) return grown;
  }
  return {};
}

void OpenAiEvents::read_usage(const JsonValue& usage) {
  if (usage.object() == nullptr) return;
  usage_.prompt_tokens = event_count(usage, "prompt_tokens");
  usage_.completion_tokens = event_count(usage, "completion_tokens");
  if (const JsonValue* details = event_member(usage, "prompt_tokens_details")) {
    usage_.cached_tokens = std::min(usage_.prompt_tokens, event_count(*details, "cached_tokens"));
  }
}

}  // namespace potluck
