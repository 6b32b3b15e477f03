// What /metrics says of the pool. PoolMetrics is brought up to date by the thread that owns the
// runtime, and read by that of the HTTP server.
#pragma once

#include <optional>
#include <utility>

#include "coordinator/cli/device_metrics.h"
#include "coordinator/cli/pool_power.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/http/metric_text.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

struct SpreadFigures {
  bool complete = false;
  uint64_t experts = 0;
  uint64_t experts_passed_on = 0;
  uint64_t scarce_units = 0;   // without all their copies
  uint64_t missing_units = 0;  // without any
};

struct PoolFigures {
  ExpertCounters counters;
  uint64_t workers_ready = 0;     // that hold all their units
  uint64_t workers_fetching = 0;  // and those that do not yet
  uint64_t units_assigned = 0;
  uint64_t units_ready = 0;
  uint64_t bytes_delivered = 0;
  uint64_t devices_waiting = 0;  // to be admitted
  uint64_t devices_known = 0;    // that may connect, whether they are here or not
  uint64_t open_invitations = 0;
  uint64_t takes_strangers = 0;                      // 1: devices may ask to be admitted
  std::optional<double> expected_tokens_per_second;  // by the plan
  std::optional<PoolPower> power;                    // of the devices that tell
  std::optional<SpreadFigures> spread;               // of a model that is spread
  PoolView view;
};

PoolFigures pool_figures(Runtime& runtime);
// Nothing in it says which device is whose; those of devices do (device_metrics.h).
void write_pool_metrics(const PoolFigures& figures, MetricText* text);

class PoolMetrics {
 public:
  void update(PoolFigures figures) {
    MutexLock lock(mutex_);
    figures_ = std::move(figures);
  }
  void write(bool with_devices, MetricText* text) const {
    MutexLock lock(mutex_);
    if (!figures_) return;
    write_pool_metrics(*figures_, text);
    if (with_devices) write_device_metrics(figures_->view, text);
  }

 private:
  mutable Mutex mutex_;
  std::optional<PoolFigures> figures_ GUARDED_BY(mutex_);
};

}  // namespace potluck
