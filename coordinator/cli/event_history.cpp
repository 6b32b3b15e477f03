#include "coordinator/cli/event_history.h"

#include "engine/base/terminal_text.h"

namespace potluck {

void EventHistory::write(const LogEvent& event) {
  log_.write(event);
  if (event.level == LogLevel::kDebug) return;
  MutexLock lock(mutex_);
  if (!limiter_.admit(event.message)) return;
  events_.push_back({next_++, clock_.unix_seconds(), event.level, event.component,
                     terminal_line(event.message.substr(0, kMessageBytes))});
  if (events_.size() > kKept) events_.pop_front();
}

std::vector<PastEvent> EventHistory::events() const {
  MutexLock lock(mutex_);
  return {events_.begin(), events_.end()};
}

}  // namespace potluck
