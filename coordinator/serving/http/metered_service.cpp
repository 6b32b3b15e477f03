#include "coordinator/serving/http/metered_service.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace potluck {
namespace {

class MeteredSink final : public CompletionSink {
 public:
  MeteredSink(std::shared_ptr<CompletionSink> sink, std::shared_ptr<ServiceMetrics> metrics,
              const Clock& clock)
      : sink_(std::move(sink)),
        metrics_(std::move(metrics)),
        clock_(clock),
        submitted_(clock.now()) {
    metrics_->submitted();
  }
  // A service that forgot a request leaves it counted otherwise.
  ~MeteredSink() override {
    if (!ended_) metrics_->failed(CompletionFault::kInternal, started_);
  }

  void on_event(const CompletionEvent& event) override {
    count(event);
    sink_->on_event(event);
  }

 private:
  void count(const CompletionEvent& event) {
    if (std::holds_alternative<CompletionProgress>(event)) start();
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) note_tokens(*delta);
    if (const auto* finished = std::get_if<CompletionFinished>(&event)) {
      ended_ = true;
      metrics_->finished(*finished, seconds_since(submitted_), started_);
    }
    if (const auto* failed = std::get_if<CompletionFailed>(&event)) {
      ended_ = true;
      metrics_->failed(failed->fault, started_);
    }
  }

  void start() {
    if (!std::exchange(started_, true)) metrics_->started();
  }

  // A delta may have several tokens: of characters that are complete only with the last one.
  void note_tokens(const CompletionDelta& delta) {
    start();
    const auto tokens = std::max<size_t>(1, delta.tokens.size());
    metrics_->chose(delta.tokens.size());
    if (!last_token_) {
      metrics_->first_token(seconds_since(submitted_));
    } else {
      metrics_->next_token(seconds_since(*last_token_) / static_cast<double>(tokens));
    }
    last_token_ = clock_.now();
  }

  double seconds_since(TimePoint time) const {
    return std::chrono::duration<double>(clock_.now() - time).count();
  }

  const std::shared_ptr<CompletionSink> sink_;
  const std::shared_ptr<ServiceMetrics> metrics_;
  const Clock& clock_;
  const TimePoint submitted_;
  std::optional<TimePoint> last_token_;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace

CompletionId MeteredService::submit(CompletionRequest request,
                                    std::shared_ptr<CompletionSink> sink) {
  return service_.submit(std::move(request),
                         std::make_shared<MeteredSink>(std::move(sink), metrics_, clock_));
}

}  // namespace potluck
