// HybridService: a CompletionService that answers with the pool, and sends on to other servers what
// rules send there: never by default, never what is marked to stay, and never in silence. Any
// thread.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "coordinator/upstream/hybrid_run.h"

namespace potluck {

class HybridService final : public CompletionService {
 public:
  // All but the upstreams must outlive it, and every request that it was given; the log may be
  // null.
  HybridService(CompletionService* pool, std::vector<Upstream> upstreams, HttpCaller* caller,
                const Clock* clock, LogSink* log);

  CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) override;
  void cancel(CompletionId id) override;
  ServiceState state() const override { return parts_.pool.state(); }
  LoadingProgress loading() const override { return parts_.pool.loading(); }
  const ServedModel& model() const override { return parts_.pool.model(); }
  ServiceFigures figures() const override;
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const override {
    return parts_.pool.encode(prompt);
  }
  Result<std::string> decode(const std::vector<TokenId>& tokens) const override {
    return parts_.pool.decode(tokens);
  }

 private:
  // Runs may end later than the service.
  struct Runs {
    Mutex mutex;
    CompletionId next GUARDED_BY(mutex) = 1;
    std::map<CompletionId, std::weak_ptr<HybridRun>> under_way GUARDED_BY(mutex);
  };

  const HybridParts parts_;
  const std::shared_ptr<Runs> runs_ = std::make_shared<Runs>();
};

}  // namespace potluck
