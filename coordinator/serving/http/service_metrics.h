// ServiceMetrics: what is counted of the requests that the HTTP API hands to the service, and the
// text in which Prometheus reads it. Nothing says whose a request is or what is in it. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/metric_text.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// How many observations were at most so large. Buckets do not change.
class Histogram {
 public:
  void observe(double seconds);
  void write(std::string_view name, MetricText* text) const;

 private:
  static constexpr std::array<double, 16> kBounds{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

// As of now, for those who watch.
struct ServiceCounts {
  uint64_t waiting = 0;
  uint64_t running = 0;
  uint64_t done = 0;
  uint64_t prompt_tokens = 0;  // of those that are done
  uint64_t cached_tokens = 0;  // of these, not computed again
  uint64_t chosen_tokens = 0;  // of answers, also of those under way
};

class ServiceMetrics {
 public:
  void submitted();
  void started();
  void first_token(double seconds);
  void next_token(double seconds);
  // Of an answer under way: the totals of write() are of those that have ended alone.
  void chose(uint64_t tokens);
  // `seconds` since it was submitted. `was_started`: started() was called for it.
  void finished(const CompletionFinished& finished, double seconds, bool was_started);
  void failed(CompletionFault fault, bool was_started);

  ServiceCounts counts() const;
  // With the figures of the service itself.
  void write(std::string_view version, bool ready, const ServiceFigures& figures,
             MetricText* text) const;

 private:
  void leave(bool was_started) REQUIRES(mutex_);
  void write_requests(MetricText* text) const REQUIRES(mutex_);
  void write_times(MetricText* text) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  uint64_t waiting_ GUARDED_BY(mutex_) = 0;
  uint64_t running_ GUARDED_BY(mutex_) = 0;
  uint64_t done_ GUARDED_BY(mutex_) = 0;
  uint64_t chosen_tokens_ GUARDED_BY(mutex_) = 0;
  uint64_t prompt_tokens_ GUARDED_BY(mutex_) = 0;
  uint64_t cached_tokens_ GUARDED_BY(mutex_) = 0;
  uint64_t generated_tokens_ GUARDED_BY(mutex_) = 0;
  std::map<std::string_view, uint64_t> finished_ GUARDED_BY(mutex_);
  std::map<std::string_view, uint64_t> failed_ GUARDED_BY(mutex_);
  Histogram first_token_ GUARDED_BY(mutex_);
  Histogram next_token_ GUARDED_BY(mutex_);
  Histogram whole_ GUARDED_BY(mutex_);
  Histogram queued_ GUARDED_BY(mutex_);
  Histogram prefill_ GUARDED_BY(mutex_);
  Histogram decode_ GUARDED_BY(mutex_);
};

}  // namespace potluck
