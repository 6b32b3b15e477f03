#include "coordinator/upstream/hybrid_run.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/upstream/upstream_request.h"

namespace potluck {
namespace {

constexpr const char* kUpstreamComponent = "upstream";
// Two Potlucks that are each other's upstream would pass a request on for ever: what came from one
// goes no further.
constexpr const char* kNoFurther = "X-Potluck-Local: 1";
constexpr const char* kAnthropicVersion = "anthropic-version: 2023-06-01";

CompletionFinished cancelled_answer() {
  CompletionFinished finished;
  finished.reason = FinishReason::kCancelled;
  return finished;
}

}  // namespace

// What the pool says of one submission. After the request went, nothing of it is passed on.
class HybridRun::PoolSink final : public CompletionSink {
 public:
  PoolSink(std::shared_ptr<HybridRun> run, uint32_t attempt)
      : run_(std::move(run)), attempt_(attempt) {}
  void on_event(const CompletionEvent& event) override { run_->on_pool_event(attempt_, event); }

 private:
  const std::shared_ptr<HybridRun> run_;
  const uint32_t attempt_;
};

HybridRun::HybridRun(HybridParts parts, CompletionRequest request,
                     std::shared_ptr<CompletionSink> sink, std::function<void()> on_over)
    : parts_(std::move(parts)),
      sink_(std::move(sink)),
      request_(std::move(request)),
      on_over_(std::move(on_over)) {}

// A service that forgot a request leaves it in the list otherwise.
HybridRun::~HybridRun() {
  if (on_over_) on_over_();
}

void HybridRun::start() {
  if (const auto named = parts_.book->find_model(request_.model)) return ask_for_model(*named);
  {
    MutexLock lock(mutex_);
    if (request_.local || !parts_.book->has_overflow()) phase_ = Phase::kHome;
  }
  ask_pool();
}

// Another model in its place would be a surprise, and so would be to send what is to stay.
void HybridRun::ask_for_model(size_t upstream) {
  const Upstream& asked = parts_.book->upstream(upstream);
  MutexLock lock(mutex_);
  upstream_ = upstream;
  if (request_.local) {
    return fail(CompletionFault::kInvalid,
                fmt::format("the model '{}' is at the upstream '{}', and this request is marked "
                            "to stay in this pool",
                            request_.model, asked.name));
  }
  if (const std::string unfit = unfit_part(request_, asked.style); !unfit.empty()) {
    return fail(CompletionFault::kInvalid,
                fmt::format("the upstream '{}' cannot be asked for this: {}", asked.name, unfit));
  }
  const bool gone =
      parts_.book->take(upstream) && leave(upstream, {UpstreamReason::kModel, 0, request_.model});
  if (!gone) {
    fail(CompletionFault::kOverloaded,
         fmt::format("too many requests to the upstream '{}' are under way", asked.name));
  }
}

void HybridRun::ask_pool() {
  CompletionRequest request;
  uint32_t attempt = 0;
  {
    MutexLock lock(mutex_);
    attempt = ++attempt_;
    // While it may go, it has to be kept.
    if (phase_ == Phase::kAsking) {
      request = request_;
    } else {
      request = std::exchange(request_, {});
    }
  }
  const CompletionId id = parts_.pool.submit(
      std::move(request), std::make_shared<PoolSink>(shared_from_this(), attempt));
  bool unwanted = false;
  {
    MutexLock lock(mutex_);
    if (attempt_ == attempt) pool_id_ = id;
    const bool away = phase_ == Phase::kAway || phase_ == Phase::kAnswered;
    unwanted = cancelled_ || away || attempt_ != attempt;
  }
  if (unwanted) parts_.pool.cancel(id);
}

void HybridRun::on_pool_event(uint32_t attempt, const CompletionEvent& event) {
  MutexLock lock(mutex_);
  if (attempt != attempt_) return;
  if (phase_ == Phase::kAsking) return decide(event);
  if (phase_ == Phase::kHome) pass(event);
}

// Admitted is held until it is known whether the request waits: the head of a stream says who
// answers it.
void HybridRun::decide(const CompletionEvent& event) {
  if (const auto* admitted = std::get_if<CompletionAdmitted>(&event)) {
    prompt_tokens_ = admitted->prompt_tokens;
    if (go({UpstreamReason::kPrompt, admitted->prompt_tokens})) return;
    held_ = *admitted;
    return;
  }
  if (const auto* queued = std::get_if<CompletionQueued>(&event)) {
    if (go({UpstreamReason::kQueue, queued->seconds})) return;
  }
  if (const auto* failed = std::get_if<CompletionFailed>(&event)) {
    if (decide_failed(*failed)) return;
  }
  stay();
  pass(event);
}

bool HybridRun::decide_failed(const CompletionFailed& failed) {
  const bool refused = failed.fault == CompletionFault::kTooLong ||
                       failed.fault == CompletionFault::kOverloaded ||
                       failed.fault == CompletionFault::kUnavailable;
  // Whoever stops the server wants no more answers.
  if (!refused || parts_.pool.state() == ServiceState::kDraining) return false;
  pool_failed_ = failed;
  prompt_tokens_ = failed.prompt_tokens;
  return go({UpstreamReason::kPrompt, failed.prompt_tokens}) || go({UpstreamReason::kCannotServe});
}

bool HybridRun::go(const UpstreamOccasion& occasion) {
  if (cancelled_) return false;
  const auto chosen = parts_.book->choose(occasion);
  if (!chosen) return false;
  const Upstream& upstream = parts_.book->upstream(*chosen);
  const std::string unfit = unfit_part(request_, upstream.style);
  if (unfit.empty()) return leave(*chosen, occasion);
  parts_.book->ended(*chosen, UpstreamBook::Outcome::kCancelled, {}, 0);
  log(LogLevel::kInfo, fmt::format("a request stays here that would go to '{}': it cannot be asked "
                                   "for this: {}",
                                   upstream.name, unfit));
  return false;
}

// Of an upstream that was taken.
bool HybridRun::leave(size_t index, const UpstreamOccasion& occasion) {
  const Upstream& upstream = parts_.book->upstream(index);
  const Phase before = std::exchange(phase_, Phase::kAway);
  upstream_ = index;
  reason_ = occasion.reason;
  auto call = parts_.caller.call(call_of(upstream),
                                 std::make_shared<UpstreamCall>(upstream.style, upstream.key,
                                                                shared_from_this(), &parts_.clock));
  if (!call) {
    phase_ = before;
    parts_.book->ended(index, UpstreamBook::Outcome::kCancelled, {}, 0);
    return false;
  }
  call_id_ = *call;
  log(LogLevel::kInfo,
      fmt::format("a request leaves this pool, to '{}' ({}): {}", upstream.name,
                  upstream_model(upstream, request_.model), describe(occasion, upstream.rules)));
  return true;
}

HttpCall HybridRun::call_of(const Upstream& upstream) {
  HttpCall call;
  const bool openai = upstream.style == UpstreamStyle::kOpenAi;
  call.url = upstream.address + (openai ? "/chat/completions" : "/messages");
  call.headers = {"Content-Type: application/json", "Accept: text/event-stream", kNoFurther};
  if (!openai) call.headers.emplace_back(kAnthropicVersion);
  if (!upstream.key.empty()) {
    call.headers.push_back((openai ? "Authorization: Bearer " : "x-api-key: ") + upstream.key);
  }
  call.body = [self = shared_from_this()] { return self->body(); };
  call.ca_file = upstream.ca_file;
  call.silence_seconds = upstream.silence_seconds;
  call.answer_seconds = upstream.answer_seconds;
  return call;
}

// By the caller's thread: the pool's own thread has better things to do than to write JSON.
std::string HybridRun::body() {
  std::optional<CompletionId> id;
  {
    MutexLock lock(mutex_);
    id = std::exchange(pool_id_, std::nullopt);
  }
  if (id) parts_.pool.cancel(*id);
  const Upstream& upstream = parts_.book->upstream(upstream_);
  std::string text =
      upstream_body(request_, upstream.style, upstream_model(upstream, request_.model));
  parts_.book->sent(upstream_, text.size());
  return text;
}

void HybridRun::stay() {
  phase_ = Phase::kHome;
  request_ = {};
  if (held_) pass(*std::exchange(held_, std::nullopt));
}

void HybridRun::pass(const CompletionEvent& event) {
  if (phase_ == Phase::kOver) return;
  const auto* admitted = std::get_if<CompletionAdmitted>(&event);
  const auto* failed = std::get_if<CompletionFailed>(&event);
  const bool last = failed != nullptr || std::holds_alternative<CompletionFinished>(event);
  if (last) phase_ = Phase::kOver;
  if (admitted != nullptr && !failed_name_.empty()) {
    CompletionAdmitted marked = *admitted;
    marked.upstream_failed = failed_name_;
    sink_->on_event(marked);
  } else if (failed != nullptr && !failed_name_.empty()) {
    CompletionFailed marked = *failed;
    marked.upstream_failed = failed_name_;
    sink_->on_event(marked);
  } else {
    sink_->on_event(event);
  }
  if (!last) return;
  if (const auto on_over = std::exchange(on_over_, nullptr)) on_over();
}

void HybridRun::fail(CompletionFault fault, std::string message) {
  pass(CompletionFailed{fault, std::move(message)});
}

void HybridRun::on_answer() {
  MutexLock lock(mutex_);
  if (phase_ != Phase::kAway) return;
  phase_ = Phase::kAnswered;
  const Upstream& upstream = parts_.book->upstream(upstream_);
  pass(CompletionAdmitted{
      prompt_tokens_, 0, upstream.name, upstream_model(upstream, request_.model), {}});
}

void HybridRun::on_piece(AnswerPiece piece) {
  MutexLock lock(mutex_);
  if (phase_ == Phase::kAnswered) pass(CompletionDelta{std::move(piece)});
}

void HybridRun::on_finished(const CompletionFinished& finished, uint64_t bytes) {
  parts_.book->ended(upstream_, UpstreamBook::Outcome::kAnswered, finished.usage, bytes);
  MutexLock lock(mutex_);
  if (phase_ == Phase::kAnswered) pass(finished);
}

void HybridRun::on_failed(const Error& failed, uint64_t bytes) {
  bool home = false;
  {
    MutexLock lock(mutex_);
    const bool wanted = phase_ == Phase::kAway || phase_ == Phase::kAnswered;
    home = wanted && comes_home(failed);
    using Outcome = UpstreamBook::Outcome;
    const bool ours = !wanted || failed.code == ErrorCode::kCancelled;
    const Outcome outcome = ours   ? Outcome::kCancelled
                            : home ? Outcome::kFellBack
                                   : Outcome::kFailed;
    parts_.book->ended(upstream_, outcome, {}, bytes);
  }
  if (home) ask_pool();
}

bool HybridRun::comes_home(const Error& failed) {
  const std::string& name = parts_.book->upstream(upstream_).name;
  failed_name_ = name;
  if (phase_ == Phase::kAnswered) {
    log(LogLevel::kWarning,
        fmt::format("the upstream '{}' broke off an answer: {}", name, failed.message));
    fail(CompletionFault::kUnavailable,
         fmt::format("the upstream '{}' broke off its answer: {}", name, failed.message));
    return false;
  }
  log(LogLevel::kWarning,
      fmt::format("the upstream '{}' does not answer: {}", name, failed.message));
  const std::string said =
      fmt::format("the upstream '{}' does not answer: {}", name, failed.message);
  if (pool_failed_) {
    CompletionFailed both = *pool_failed_;
    both.message += "; and " + said;
    pass(both);
    return false;
  }
  if (reason_ == UpstreamReason::kModel || failed.code == ErrorCode::kCancelled) {
    fail(CompletionFault::kUnavailable, said);
    return false;
  }
  phase_ = Phase::kHome;
  return true;
}

void HybridRun::cancel() {
  std::optional<CompletionId> pool_id;
  HttpCallId call_id = 0;
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
    pool_id = pool_id_;
    if (phase_ == Phase::kAway || phase_ == Phase::kAnswered) {
      call_id = call_id_;
      pass(cancelled_answer());
    }
  }
  if (call_id != 0) parts_.caller.cancel(call_id);
  if (pool_id) parts_.pool.cancel(*pool_id);
}

void HybridRun::log(LogLevel level, const std::string& message) const {
  log_to(parts_.log, {level, kUpstreamComponent, message});
}

}  // namespace potluck
