#include "tests/support/scripted_service/scripted_service.h"

#include <utility>

namespace potluck::test {
namespace {

bool is_last(const CompletionEvent& event) {
  return std::holds_alternative<CompletionFinished>(event) ||
         std::holds_alternative<CompletionFailed>(event);
}

std::string text_of(const CompletionPrompt& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
  std::string text;
  if (const auto* conversation = std::get_if<Conversation>(&prompt)) {
    for (const ChatMessage& message : conversation->messages) {
      if (message.content.text() != nullptr) text += *message.content.text();
    }
  }
  return text;
}

}  // namespace

ScriptedService::ScriptedService(Script script, Duration pace)
    : script_(std::move(script)), pace_(pace) {
  model_ = {"taleteller", 1'700'000'000, 26'000'000, 15'000'000, 4096, 2048,
            "qwen3moe",   "Q4_K_M",      true,       true,       true};
  if (script_ && pace_ > Duration(0)) thread_ = std::thread([this] { run(); });
}

ScriptedService::~ScriptedService() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

CompletionId ScriptedService::submit(CompletionRequest request,
                                     std::shared_ptr<CompletionSink> sink) {
  std::vector<CompletionEvent> events;
  if (script_) events = script_(request);
  CompletionId id = 0;
  {
    std::lock_guard guard(mutex_);
    id = submissions_.size();
    submissions_.push_back({std::move(request), std::move(sink)});
    if (thread_.joinable()) {
      submissions_.back().events = {events.begin(), events.end()};
      events.clear();
    }
  }
  changed_.notify_all();
  for (const CompletionEvent& event : events) tell(id, event);
  return id;
}

void ScriptedService::cancel(CompletionId id) {
  {
    std::lock_guard guard(mutex_);
    Submission& submission = submissions_.at(id);
    submission.cancelled = true;
    if (submission.sink == nullptr) return;
    submission.events.clear();
  }
  changed_.notify_all();
  if (on_cancel_) on_cancel_(id);
  CompletionFinished finished;
  finished.reason = FinishReason::kCancelled;
  tell(id, finished);
}

// A sink is told one event after the other, as by a service that has one thread. Here the test, the
// script and a server that cancels tell from different ones.
void ScriptedService::tell(CompletionId id, const CompletionEvent& event) {
  std::unique_lock lock(mutex_);
  Submission& submission = submissions_.at(id);
  submission.untold.push_back(event);
  if (std::exchange(submission.being_told, true)) return;
  while (!submission.untold.empty()) {
    CompletionEvent next = std::move(submission.untold.front());
    submission.untold.pop_front();
    auto sink = is_last(next) ? std::exchange(submission.sink, nullptr) : submission.sink;
    lock.unlock();
    if (sink != nullptr) sink->on_event(next);
    lock.lock();
  }
  submission.being_told = false;
}

void ScriptedService::forget(CompletionId id) {
  std::shared_ptr<CompletionSink> sink;
  std::lock_guard guard(mutex_);
  sink.swap(submissions_.at(id).sink);
}

size_t ScriptedService::submitted() const {
  std::lock_guard guard(mutex_);
  return submissions_.size();
}

CompletionRequest ScriptedService::request(CompletionId id) const {
  std::lock_guard guard(mutex_);
  return submissions_.at(id).request;
}

bool ScriptedService::cancelled(CompletionId id) const {
  std::lock_guard guard(mutex_);
  return submissions_.at(id).cancelled;
}

bool ScriptedService::wait_cancelled(CompletionId id) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::minutes(1),
                           [&] { return submissions_.size() > id && submissions_[id].cancelled; });
}

Result<std::vector<TokenId>> ScriptedService::encode(const CompletionPrompt& prompt) const {
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) return *tokens;
  std::vector<TokenId> tokens;
  for (const char byte : text_of(prompt)) tokens.push_back(static_cast<unsigned char>(byte));
  return tokens;
}

Result<std::string> ScriptedService::decode(const std::vector<TokenId>& tokens) const {
  std::string text;
  for (const TokenId token : tokens) {
    if (token > 255) return Error{ErrorCode::kInvalidArgument, "token out of the vocabulary"};
    text += static_cast<char>(token);
  }
  return text;
}

void ScriptedService::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<std::pair<CompletionId, CompletionEvent>> due;
    for (CompletionId id = 0; id < submissions_.size(); ++id) {
      auto& events = submissions_[id].events;
      if (events.empty()) continue;
      due.emplace_back(id, events.front());
      if (events.size() > 1 || is_last(events.front())) events.pop_front();
    }
    lock.unlock();
    for (const auto& [id, event] : due) tell(id, event);
    lock.lock();
    changed_.wait_for(lock, due.empty() ? Duration(std::chrono::milliseconds(50)) : pace_,
                      [this] { return stopping_; });
  }
}

}  // namespace potluck::test
