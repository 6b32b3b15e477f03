#include "coordinator/upstream/answer_events.h"

#include <utility>

#include "coordinator/upstream/anthropic_events.h"
#include "coordinator/upstream/openai_events.h"

namespace potluck {

std::unique_ptr<AnswerEvents> AnswerEvents::make(UpstreamStyle style) {
  if (style == UpstreamStyle::kAnthropic) return std::make_unique<AnthropicEvents>();
  return std::make_unique<OpenAiEvents>();
}

Result<AnswerPiece> AnswerEvents::take(std::string_view data) {
  AnswerPiece piece;
  if (end_) return piece;  // what comes behind the end says nothing any more
  if (data == "[DONE]") {
    if (Status whole = finish(); !whole) return whole.error();
    return piece;
  }
  const auto event = parse_json(data);
  if (!event || event->object() == nullptr) {
    return Error{ErrorCode::kCorrupt, "it sends an event that is no JSON object"};
  }
  if (Status taken = read(*event, &piece); !taken) return taken.error();
  return piece;
}

Status AnswerEvents::finish() {
  if (end_) return {};
  if (!reason_) return Error{ErrorCode::kCorrupt, "its answer ends in the middle"};
  end_ = AnswerEnd{*reason_, stop_string_, usage_};
  return {};
}

Status AnswerEvents::count(size_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= kMostAnswerBytes) return {};
  return Error{ErrorCode::kLimit, "its answer is too long"};
}

Status AnswerEvents::add_text(std::string* to, const std::string& text) {
  *to += text;
  return count(text.size());
}

Status AnswerEvents::begin_call(std::string id, std::string name, AnswerPiece* piece) {
  close_call(piece);
  if (++calls_ > kMostCalls || id.size() > kMostNameBytes || name.size() > kMostNameBytes ||
      name.empty()) {
    return Error{ErrorCode::kLimit, "it calls too many tools, or one with an impossible name"};
  }
  if (id.empty()) id = "call_" + std::to_string(calls_);
  in_call_ = true;
  call_ = {std::move(id), std::move(name), {}};
  arguments_.clear();
  piece->growth.push_back({true, call_.id, call_.name, {}});
  return {};
}

Status AnswerEvents::grow_call(std::string_view arguments, AnswerPiece* piece) {
  if (!in_call_) return Error{ErrorCode::kCorrupt, "it sends arguments of no call"};
  arguments_ += arguments;
  if (!arguments.empty()) piece->growth.push_back({false, {}, {}, std::string(arguments)});
  return count(arguments.size());
}

void AnswerEvents::close_call(AnswerPiece* piece) {
  if (!std::exchange(in_call_, false)) return;
  if (arguments_.empty()) piece->growth.push_back({false, {}, {}, "{}"});
  call_.arguments = JsonValue{arguments_.empty() ? std::string("{}") : arguments_};
  piece->calls.push_back(std::move(call_));
}

}  // namespace potluck
