#include "coordinator/upstream/upstream_call.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "coordinator/upstream/event_fields.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kShownRefusal = 300;
// So much of a key is enough to know that a text quotes it; servers show a part of it.
constexpr size_t kTellingBytes = 8;

// Whether the text quotes the secret, or a part of it that tells something.
bool quotes(const std::string& text, const std::string& secret) {
  const size_t part = std::min(secret.size(), kTellingBytes);
  if (part == 0) return false;
  for (size_t at = 0; at + part <= secret.size(); ++at) {
    if (text.find(secret.substr(at, part)) != text.npos) return true;
  }
  return false;
}

// The statuses at which a server says what is wrong with the request itself.
bool explains_request(int status) {
  return status == 400 || status == 404 || status == 413 || status == 422 || status == 429;
}

double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

UpstreamCall::UpstreamCall(UpstreamStyle style, std::string secret,
                           std::shared_ptr<UpstreamListener> listener, const Clock* clock)
    : secret_(std::move(secret)),
      listener_(std::move(listener)),
      clock_(*clock),
      events_(AnswerEvents::make(style)),
      asked_at_(clock->now()),
      began_at_(asked_at_) {}

bool UpstreamCall::on_status(int status) {
  status_ = status;
  return true;
}

bool UpstreamCall::on_bytes(std::string_view bytes) {
  bytes_ += bytes.size();
  if (status_ != 200) {
    refusal_ += bytes.substr(0, kMostRefusal - refusal_.size());
    return refusal_.size() < kMostRefusal;
  }
  if (bytes_ > kMostBytes) {
    fault_ = Error{ErrorCode::kLimit, "its answer is too long"};
    return false;
  }
  fault_ = reader_.push(
      bytes, [this](std::string_view /*name*/, std::string_view data) { return take_event(data); });
  // Behind the end of the answer nothing is of use.
  return fault_.ok() && !events_->end();
}

Status UpstreamCall::take_event(std::string_view data) {
  const bool begun = events_->begun();
  auto piece = events_->take(data);
  if (!piece) return piece.error();
  if (!begun && events_->begun()) {
    began_at_ = clock_.now();
    listener_->on_answer();
  }
  const bool empty = piece->reasoning.empty() && piece->content.empty() && piece->calls.empty() &&
                     piece->growth.empty();
  if (!empty) listener_->on_piece(std::move(*piece));
  return {};
}

void UpstreamCall::on_end(const Status& ended) {
  if (events_->end()) return finish();
  if (!fault_) return listener_->on_failed(fault_.error(), bytes_);
  // A body that was longer than what is kept of it is a refusal all the same.
  if (status_ != 0 && status_ != 200) return listener_->on_failed(refusal(), bytes_);
  if (!ended) return listener_->on_failed(ended.error(), bytes_);
  // The reason may have been the last thing it said.
  if (Status whole = events_->finish(); !whole) return listener_->on_failed(whole.error(), bytes_);
  finish();
}

void UpstreamCall::finish() {
  const AnswerEnd& end = *events_->end();
  CompletionFinished finished;
  finished.reason = end.reason;
  finished.stop_string = end.stop_string;
  finished.usage = end.usage;
  finished.prefill_seconds = seconds_between(asked_at_, began_at_);
  finished.decode_seconds = seconds_between(began_at_, clock_.now());
  finished.decode_steps = end.usage.completion_tokens;
  listener_->on_finished(finished, bytes_);
}

Error UpstreamCall::refusal() const {
  if (status_ >= 300 && status_ < 400) {
    return {ErrorCode::kRefused, fmt::format("it says {}: redirections are not followed", status_)};
  }
  if (status_ == 401 || status_ == 403) {
    return {ErrorCode::kRefused, fmt::format("it says {}: it does not take the key", status_)};
  }
  std::string said;
  const auto body = parse_json(refusal_);
  if (body && explains_request(status_)) {
    if (const JsonValue* error = event_member(*body, "error")) {
      said = event_text_or_empty(*error, "message");
    }
  }
  if (said.empty() || quotes(said, secret_)) {
    return {ErrorCode::kRefused, fmt::format("it says {}", status_)};
  }
  return {ErrorCode::kRefused,
          fmt::format("it says {}: {}", status_, clean_text(said, kShownRefusal))};
}

}  // namespace potluck
