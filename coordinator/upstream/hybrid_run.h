// HybridRun: one request that the pool answers, or a server outside this pool where a rule says
// so. It asks the pool first, except for a model that only the other server has; before anything of
// an answer is there, it may go. An answer that began stays where it is. Lives as long as someone
// tells it events.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/http_caller.h"
#include "coordinator/upstream/upstream_book.h"
#include "coordinator/upstream/upstream_call.h"
#include "engine/base/log_sink.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// What all runs work with; must outlive them, but for the book.
struct HybridParts {
  CompletionService& pool;
  HttpCaller& caller;
  const Clock& clock;
  LogSink* log;  // may be null
  std::shared_ptr<UpstreamBook> book;
};

class HybridRun final : public UpstreamListener, public std::enable_shared_from_this<HybridRun> {
 public:
  // `on_over` is called once, after the last event.
  HybridRun(HybridParts parts, CompletionRequest request, std::shared_ptr<CompletionSink> sink,
            std::function<void()> on_over);
  ~HybridRun() override;
  HybridRun(const HybridRun&) = delete;
  HybridRun& operator=(const HybridRun&) = delete;

  void start();
  void cancel();

  // The other server's answer; by the caller's thread.
  void on_answer() override;
  void on_piece(AnswerPiece piece) override;
  void on_finished(const CompletionFinished& finished, uint64_t bytes) override;
  void on_failed(const Error& failed, uint64_t bytes) override;

 private:
  class PoolSink;
  enum class Phase : uint8_t {
    kAsking,    // the pool has it, and it may still go
    kHome,      // the pool answers
    kAway,      // the other server is asked
    kAnswered,  // and answers
    kOver,
  };

  void ask_pool();
  void ask_for_model(size_t upstream);
  void on_pool_event(uint32_t attempt, const CompletionEvent& event);
  void decide(const CompletionEvent& event) REQUIRES(mutex_);
  bool decide_failed(const CompletionFailed& failed) REQUIRES(mutex_);
  // Whether the request went.
  bool go(const UpstreamOccasion& occasion) REQUIRES(mutex_);
  bool leave(size_t upstream, const UpstreamOccasion& occasion) REQUIRES(mutex_);
  void stay() REQUIRES(mutex_);
  void pass(const CompletionEvent& event) REQUIRES(mutex_);
  void fail(CompletionFault fault, std::string message) REQUIRES(mutex_);
  std::string body();
  HttpCall call_of(const Upstream& upstream);
  // Of the failed call; whether the pool is to be asked.
  bool comes_home(const Error& failed) REQUIRES(mutex_);
  void log(LogLevel level, const std::string& message) const;

  const HybridParts parts_;
  const std::shared_ptr<CompletionSink> sink_;
  Mutex mutex_;                // held while the sink is told, never while the pool is called
  CompletionRequest request_;  // as long as it may go; not changed while it is away
  std::function<void()> on_over_ GUARDED_BY(mutex_);
  Phase phase_ GUARDED_BY(mutex_) = Phase::kAsking;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  uint32_t attempt_ GUARDED_BY(mutex_) = 0;
  std::optional<CompletionId> pool_id_ GUARDED_BY(mutex_);
  HttpCallId call_id_ GUARDED_BY(mutex_) = 0;
  std::optional<CompletionAdmitted> held_ GUARDED_BY(mutex_);       // not told yet
  std::optional<CompletionFailed> pool_failed_ GUARDED_BY(mutex_);  // why it went
  UpstreamReason reason_ GUARDED_BY(mutex_) = UpstreamReason::kModel;
  uint32_t prompt_tokens_ GUARDED_BY(mutex_) = 0;
  std::string failed_name_ GUARDED_BY(mutex_);
  std::atomic<size_t> upstream_{0};
};

}  // namespace potluck
