// MeteredService: a CompletionService that counts what passes through it on the way to another one.
// Any thread.
#pragma once

#include <memory>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/service_metrics.h"
#include "engine/base/clock.h"

namespace potluck {

class MeteredService final : public CompletionService {
 public:
  // The service and the clock must outlive it, and every request that it was given.
  MeteredService(CompletionService* service, std::shared_ptr<ServiceMetrics> metrics,
                 const Clock* clock)
      : service_(*service), metrics_(std::move(metrics)), clock_(*clock) {}

  CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) override;
  void cancel(CompletionId id) override { service_.cancel(id); }
  ServiceState state() const override { return service_.state(); }
  LoadingProgress loading() const override { return service_.loading(); }
  const ServedModel& model() const override { return service_.model(); }
  ServiceFigures figures() const override { return service_.figures(); }
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const override {
    return service_.encode(prompt);
  }
  Result<std::string> decode(const std::vector<TokenId>& tokens) const override {
    return service_.decode(tokens);
  }

 private:
  CompletionService& service_;
  const std::shared_ptr<ServiceMetrics> metrics_;
  const Clock& clock_;
};

}  // namespace potluck
