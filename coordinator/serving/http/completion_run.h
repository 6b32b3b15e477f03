// CompletionRun: one HTTP request being answered by a CompletionService: its choices are submitted,
// their events become bytes, and when the client goes they are cancelled. Lives as long as the
// service tells it events.
#pragma once

#include <memory>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/api_reply.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class CompletionRun : public std::enable_shared_from_this<CompletionRun> {
 public:
  // Called by the HTTP server's thread. The service must outlive the run.
  static void start(CompletionService* service, ApiReply reply,
                    std::vector<CompletionRequest> choices, std::unique_ptr<AnswerWriter> writer);
  // A service that forgot a request leaves its client without an answer otherwise.
  ~CompletionRun();

 private:
  class Sink;
  CompletionRun(CompletionService* service, ApiReply reply, std::unique_ptr<AnswerWriter> writer)
      : service_(*service), reply_(std::move(reply)), writer_(std::move(writer)) {}

  void submit(std::vector<CompletionRequest> choices);
  void on_event(size_t choice, const CompletionEvent& event);
  void advance(size_t choice, const CompletionEvent& event) REQUIRES(mutex_);
  void fail(const ApiError& error) REQUIRES(mutex_);
  // Says in the answer who else was told the question.
  void mark(const CompletionEvent& event) REQUIRES(mutex_);
  void abandon();
  void cancel_all();

  CompletionService& service_;
  Mutex mutex_;  // never held while the service is called
  ApiReply reply_;
  const std::unique_ptr<AnswerWriter> writer_;
  bool begun_ GUARDED_BY(mutex_) = false;  // the head of the stream was sent
  bool over_ GUARDED_BY(mutex_) = false;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  std::vector<CompletionId> ids_ GUARDED_BY(mutex_);
};

}  // namespace potluck
