// ScriptedService: a CompletionService without a model, for tests of the HTTP APIs. What it tells
// is told by the test, event by event, or by a script that makes all events of a request. Any
// thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "coordinator/serving/completion.h"
#include "engine/base/clock.h"

namespace potluck::test {

class ScriptedService final : public CompletionService {
 public:
  using Script = std::function<std::vector<CompletionEvent>(const CompletionRequest& request)>;

  // Without a script the test tells the events. With one, they are told inside of submit(), or,
  // with a pace, by a thread: one of each request at a time, and so much time between them. The
  // last one is then told again and again if it does not end the request.
  explicit ScriptedService(Script script = nullptr, Duration pace = Duration(0));
  ~ScriptedService() override;

  CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) override;
  void cancel(CompletionId id) override;
  ServiceState state() const override { return state_; }
  const ServedModel& model() const override { return model_; }
  // A byte is a token here.
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const override;
  Result<std::string> decode(const std::vector<TokenId>& tokens) const override;

  // Before the first request.
  ServedModel& served_model() { return model_; }
  void set_state(ServiceState state) { state_ = state; }
  // Called for every cancelled request that has not ended.
  void on_cancel(std::function<void(CompletionId)> callback) { on_cancel_ = std::move(callback); }

  // Ids count from 0. Nothing is told after the last event of a request.
  void tell(CompletionId id, const CompletionEvent& event);
  // Lets go of the sink, as a service does that has told the last event, or one with a bug.
  void forget(CompletionId id);
  size_t submitted() const;
  CompletionRequest request(CompletionId id) const;
  bool cancelled(CompletionId id) const;
  // False if it was not cancelled after a minute.
  bool wait_cancelled(CompletionId id) const;

 private:
  struct Submission {
    CompletionRequest request;
    std::shared_ptr<CompletionSink> sink;  // null once it has ended
    std::deque<CompletionEvent> events{};  // of the script
    std::deque<CompletionEvent> untold{};  // in order; a thread that tells takes all of them
    bool being_told = false;
    bool cancelled = false;
  };
  void run();

  const Script script_;
  const Duration pace_;
  ServedModel model_;
  std::atomic<ServiceState> state_{ServiceState::kReady};
  std::function<void(CompletionId)> on_cancel_;
  mutable std::mutex mutex_;  // guards the following
  mutable std::condition_variable changed_;
  std::deque<Submission> submissions_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace potluck::test
