#include "coordinator/upstream/hybrid_service.h"

#include <utility>

namespace potluck {

HybridService::HybridService(CompletionService* pool, std::vector<Upstream> upstreams,
                             HttpCaller* caller, const Clock* clock, LogSink* log)
    : parts_{*pool, *caller, *clock, log,
             std::make_shared<UpstreamBook>(std::move(upstreams), clock)} {}

CompletionId HybridService::submit(CompletionRequest request,
                                   std::shared_ptr<CompletionSink> sink) {
  std::shared_ptr<HybridRun> run;
  CompletionId id = 0;
  {
    MutexLock lock(runs_->mutex);
    id = runs_->next++;
    run = std::make_shared<HybridRun>(parts_, std::move(request), std::move(sink),
                                      [runs = runs_, id] {
                                        MutexLock inner(runs->mutex);
                                        runs->under_way.erase(id);
                                      });
    runs_->under_way.emplace(id, run);
  }
  run->start();
  return id;
}

void HybridService::cancel(CompletionId id) {
  std::shared_ptr<HybridRun> run;
  {
    MutexLock lock(runs_->mutex);
    const auto found = runs_->under_way.find(id);
    if (found != runs_->under_way.end()) run = found->second.lock();
  }
  if (run != nullptr) run->cancel();
}

ServiceFigures HybridService::figures() const {
  ServiceFigures figures = parts_.pool.figures();
  figures.upstreams = parts_.book->figures();
  return figures;
}

}  // namespace potluck
