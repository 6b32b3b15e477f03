#include "coordinator/serving/http/completion_run.h"

#include <utility>

namespace potluck {
namespace {

constexpr const char* kUpstreamFailed = "X-Potluck-Upstream-Failed";

std::optional<ApiError> error_of(const CompletionEvent& event) {
  if (const auto* failed = std::get_if<CompletionFailed>(&event)) return from_failure(*failed);
  const auto* finished = std::get_if<CompletionFinished>(&event);
  if (finished == nullptr || finished->reason != FinishReason::kCancelled) return std::nullopt;
  return unavailable("the request was cancelled because the server is stopping", 0);
}

}  // namespace

class CompletionRun::Sink final : public CompletionSink {
 public:
  Sink(std::shared_ptr<CompletionRun> run, size_t choice) : run_(std::move(run)), choice_(choice) {}
  void on_event(const CompletionEvent& event) override { run_->on_event(choice_, event); }

 private:
  const std::shared_ptr<CompletionRun> run_;
  const size_t choice_;
};

void CompletionRun::start(CompletionService* service, ApiReply reply,
                          std::vector<CompletionRequest> choices,
                          std::unique_ptr<AnswerWriter> writer) {
  const std::shared_ptr<CompletionRun> run(
      new CompletionRun(service, std::move(reply), std::move(writer)));
  run->reply_.exchange().on_closed([weak = run->weak_from_this()] {
    if (const auto held = weak.lock()) held->abandon();
  });
  run->submit(std::move(choices));
}

CompletionRun::~CompletionRun() {
  if (!over_) fail({500, "server_error", "the request ended without an answer"});
}

void CompletionRun::submit(std::vector<CompletionRequest> choices) {
  for (size_t i = 0; i < choices.size(); ++i) {
    {
      MutexLock lock(mutex_);
      if (over_) return;
    }
    const CompletionId id =
        service_.submit(std::move(choices[i]), std::make_shared<Sink>(shared_from_this(), i));
    bool too_late = false;
    {
      MutexLock lock(mutex_);
      ids_.push_back(id);
      too_late = cancelled_;
    }
    if (too_late) service_.cancel(id);
  }
}

void CompletionRun::on_event(size_t choice, const CompletionEvent& event) {
  MutexLock lock(mutex_);
  if (over_) return;
  mark(event);
  const auto error = error_of(event);
  if (!error) return advance(choice, event);
  fail(*error);
  // The other choices go with it; not from here, where the service is in the middle of telling.
  reply_.exchange().run_soon([weak = weak_from_this()] {
    if (const auto held = weak.lock()) held->cancel_all();
  });
}

void CompletionRun::mark(const CompletionEvent& event) {
  if (begun_) return;
  if (const auto* failed = std::get_if<CompletionFailed>(&event)) {
    if (!failed->upstream_failed.empty()) {
      reply_.add_header(kUpstreamFailed, failed->upstream_failed);
    }
  }
  const auto* admitted = std::get_if<CompletionAdmitted>(&event);
  if (admitted == nullptr) return;
  if (!admitted->upstream_failed.empty()) {
    reply_.add_header(kUpstreamFailed, admitted->upstream_failed);
  }
  if (admitted->upstream.empty()) return;
  reply_.add_header("X-Potluck-Upstream", admitted->upstream);
  reply_.add_header("X-Potluck-Upstream-Model", admitted->upstream_model);
  writer_->answered_by(admitted->upstream_model);
}

void CompletionRun::advance(size_t choice, const CompletionEvent& event) {
  if (const auto* queued = std::get_if<CompletionQueued>(&event)) {
    if (begun_) reply_.exchange().write(writer_->waiting(*queued));
    return;
  }
  std::string bytes = writer_->take(choice, event);
  over_ = writer_->done();
  if (!writer_->streams()) {
    if (!over_) return;
    return reply_.respond(
        {200, {{"Content-Type", std::string(writer_->content_type())}}, std::move(bytes)});
  }
  if (!std::exchange(begun_, true)) {
    reply_.start_stream(writer_->content_type(), writer_->idle_comment());
  }
  reply_.exchange().write(std::move(bytes));
  if (over_) reply_.exchange().end();
}

void CompletionRun::fail(const ApiError& error) {
  over_ = true;
  if (!begun_) return reply_.error(error);
  reply_.exchange().write(writer_->failure(error));
  reply_.exchange().end();
}

void CompletionRun::abandon() {
  {
    MutexLock lock(mutex_);
    over_ = true;
  }
  cancel_all();
}

void CompletionRun::cancel_all() {
  std::vector<CompletionId> ids;
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
    ids = ids_;
  }
  for (const CompletionId id : ids) service_.cancel(id);
}

}  // namespace potluck
