// What /metrics says of the pool. PoolMetrics is brought up to date by the thread that owns the
// runtime, and read by that of the HTTP server.
#pragma once

#include <optional>

#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/http/metric_text.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

struct PoolFigures {
  ExpertCounters counters;
  uint64_t workers_ready = 0;     // that hold all their units
  uint64_t workers_fetching = 0;  // and those that do not yet
  uint64_t units_assigned = 0;
  uint64_t units_ready = 0;
  uint64_t bytes_delivered = 0;
};

PoolFigures pool_figures(Runtime& runtime);
// Nothing in it says which device is whose.
void write_pool_metrics(const PoolFigures& figures, MetricText* text);

class PoolMetrics {
 public:
  void update(Runtime& runtime) {
    PoolFigures figures = pool_figures(runtime);
    MutexLock lock(mutex_);
    figures_ = figures;
  }
  void write(MetricText* text) const {
    MutexLock lock(mutex_);
    if (figures_) write_pool_metrics(*figures_, text);
  }

 private:
  mutable Mutex mutex_;
  std::optional<PoolFigures> figures_ GUARDED_BY(mutex_);
};

}  // namespace potluck
