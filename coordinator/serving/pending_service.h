// PendingService: stands for a CompletionService that is not there yet, so that the API's port is
// open while the model loads. Until open() it answers as a service that is loading; from then on
// every call goes to the service itself. Made before the API server, and outlives it; any thread.
#pragma once

#include <atomic>
#include <string>

#include "coordinator/serving/completion.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class PendingService final : public CompletionService {
 public:
  // `announced`: as much of the model as is known before its file is read.
  explicit PendingService(ServedModel announced) : announced_(std::move(announced)) {}

  // How far loading is, for those who ask about the server's health.
  void report(const std::string& stage, uint64_t done, uint64_t total);
  // The service must outlive everyone who calls this object. Once.
  void open(CompletionService* service) { service_.store(service, std::memory_order_release); }

  CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) override;
  void cancel(CompletionId id) override;
  ServiceState state() const override;
  LoadingProgress loading() const override;
  const ServedModel& model() const override;
  ServiceFigures figures() const override;
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const override;
  Result<std::string> decode(const std::vector<TokenId>& tokens) const override;

 private:
  CompletionService* service() const { return service_.load(std::memory_order_acquire); }

  const ServedModel announced_;
  std::atomic<CompletionService*> service_{nullptr};
  mutable Mutex mutex_;
  LoadingProgress progress_ GUARDED_BY(mutex_);
};

}  // namespace potluck
