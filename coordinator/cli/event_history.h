// EventHistory: the last events of a pool that people may want to see again, on their way to the
// log. Bounded, and limited like the log: peers can cause events. Any thread.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/log_sink.h"
#include "engine/base/notice_limiter.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

struct PastEvent {
  uint64_t number = 0;  // counts up
  int64_t unix_seconds = 0;
  LogLevel level = LogLevel::kInfo;
  std::string component;
  std::string message;
};

class EventHistory final : public LogSink {
 public:
  // A timeline of a few screens.
  static constexpr size_t kKept = 100;
  static constexpr size_t kMessageBytes = 400;

  // Both must outlive the object; the sink gets every event.
  EventHistory(LogSink* log, const Clock* clock) : log_(*log), clock_(*clock), limiter_(*clock) {}

  bool wants(LogLevel level) const override { return log_.wants(level); }
  void write(const LogEvent& event) override;

  // The oldest first.
  std::vector<PastEvent> events() const;

 private:
  LogSink& log_;
  const Clock& clock_;
  mutable Mutex mutex_;
  NoticeLimiter limiter_ GUARDED_BY(mutex_);
  std::deque<PastEvent> events_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
};

}  // namespace potluck
