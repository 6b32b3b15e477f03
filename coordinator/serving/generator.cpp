#include "coordinator/serving/generator.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "engine/base/thread_annotations.h"
#include "engine/model/step_run.h"

namespace potluck {
namespace {

// How soon it is noticed that the generation is to end.
constexpr Duration kLongestWait = std::chrono::milliseconds(100);

ErrorCode code_of(CompletionFault fault) {
  switch (fault) {
    case CompletionFault::kInvalid:
      return ErrorCode::kInvalidArgument;
    case CompletionFault::kTooLong:
      return ErrorCode::kLimit;
    case CompletionFault::kOverloaded:
    case CompletionFault::kUnavailable:
      return ErrorCode::kRefused;
    case CompletionFault::kInternal:
      break;
  }
  return ErrorCode::kIo;
}

std::string reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
    case FinishReason::kStopString:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
    case FinishReason::kCancelled:
      break;
  }
  return "interrupted";
}

Duration duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// Puts the answer together.
class Gatherer {
 public:
  Gatherer(const GenerationRequest& request, const PieceSink& sink)
      : request_(request), sink_(sink) {}

  void on_event(const CompletionEvent& event) {
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) take(*delta);
    const auto* progress = std::get_if<CompletionProgress>(&event);
    if (progress != nullptr && request_.on_prefill) {
      request_.on_prefill(progress->done, progress->total);
    }
    if (const auto* finished = std::get_if<CompletionFinished>(&event)) finish(*finished);
    if (const auto* failed = std::get_if<CompletionFailed>(&event)) {
      error_ = Error{code_of(failed->fault), failed->message};
    }
  }

  bool is_done() const { return is_finished_ || error_.has_value(); }
  bool wants_more() const { return wants_more_; }
  Result<GeneratedAnswer> answer() {
    if (error_) return *error_;
    return std::move(answer_);
  }

 private:
  void take(const CompletionDelta& delta) {
    AnswerPiece& text = answer_.text;
    text.reasoning += delta.piece.reasoning;
    text.content += delta.piece.content;
    text.calls.insert(text.calls.end(), delta.piece.calls.begin(), delta.piece.calls.end());
    std::vector<TokenId>& tokens = answer_.result.tokens;
    tokens.insert(tokens.end(), delta.tokens.begin(), delta.tokens.end());
    wants_more_ = sink_(delta.piece) && wants_more_;
  }

  void finish(const CompletionFinished& finished) {
    is_finished_ = true;
    bool was_enough = finished.reason == FinishReason::kCancelled && !wants_more_;
    answer_.result.finish_reason = was_enough ? "stop" : reason_name(finished.reason);
    answer_.result.prefill_time = duration(finished.prefill_seconds);
    answer_.result.decode_time = duration(finished.decode_seconds);
    answer_.result.decode_steps = finished.decode_steps;
    answer_.usage = finished.usage;
  }

  const GenerationRequest& request_;
  const PieceSink& sink_;
  GeneratedAnswer answer_;
  std::optional<Error> error_;
  bool is_finished_ = false;
  bool wants_more_ = true;
};

// Events on their way from the engine to the caller of generate(). Where the engine has a thread of
// its own, what the caller does with a piece, such as writing it into a full pipe, holds nothing
// up.
class Mailbox final : public CompletionSink {
 public:
  void on_event(const CompletionEvent& event) override {
    MutexLock lock(mutex_);
    events_.push_back(event);
    has_events_.notify_one();
  }

  std::deque<CompletionEvent> take(Duration longest) {
    MutexLock lock(mutex_);
    if (events_.empty() && longest > Duration::zero()) has_events_.wait_for(lock, longest);
    return std::exchange(events_, {});
  }

 private:
  Mutex mutex_;
  Condition has_events_;
  std::deque<CompletionEvent> events_ GUARDED_BY(mutex_);
};

CompletionRequest request_for(CompletionPrompt prompt, const GenerationRequest& request) {
  CompletionRequest asked;
  asked.prompt = std::move(prompt);
  asked.max_tokens = request.max_tokens;
  asked.prompt_only = request.max_tokens == 0;
  asked.sampling = request.sampling;
  asked.ignore_end = request.ignore_end;
  return asked;
}

}  // namespace

Result<GeneratedAnswer> generate(CompletionEngine& engine, CompletionPrompt prompt,
                                 const GenerationRequest& request, const PieceSink& sink) {
  Gatherer gatherer(request, sink);
  auto mailbox = std::make_shared<Mailbox>();
  CompletionId id = engine.submit(request_for(std::move(prompt), request), mailbox);
  bool is_cancelled = false;
  while (!gatherer.is_done()) {
    bool is_stopped = request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed);
    if ((is_stopped || !gatherer.wants_more()) && !is_cancelled) {
      engine.cancel(id);
      is_cancelled = true;
    }
    if (!request.engine_runs) engine.turn(kLongestWait);
    const Duration wait = request.engine_runs ? kLongestWait : Duration::zero();
    for (const auto& event : mailbox->take(wait)) gatherer.on_event(event);
  }
  return gatherer.answer();
}

Status prefill(const GenerationContext& context, std::span<const TokenId> tokens, uint32_t chunk,
               KvCache* cache) {
  std::vector<ForwardRow> rows;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    size_t end = std::min(tokens.size(), begin + chunk);
    rows.clear();
    for (size_t i = begin; i < end; ++i) {
      auto position = cache->length() + static_cast<uint32_t>(i - begin);
      rows.push_back({tokens[i], position, cache, i + 1 == tokens.size()});
    }
    if (Status status = run_step(context.forward, rows, context.executor); !status) return status;
  }
  return {};
}

}  // namespace potluck
