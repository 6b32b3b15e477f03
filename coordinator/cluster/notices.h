// Notices: events of one component, gathered until they are taken. Bounded, because peers can cause
// notices: what does not fit is counted. Plain value; one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/base/log_sink.h"

namespace potluck {

class Notices {
 public:
  explicit Notices(std::string component) : component_(std::move(component)) {}

  void add(std::string text, LogLevel level = LogLevel::kInfo, std::vector<LogField> fields = {}) {
    bool debug = level == LogLevel::kDebug;
    if (debug && debug_events_ >= kDebugCapacity) return;
    if (debug) ++debug_events_;
    if (events_.size() < kCapacity + debug_events_) {
      events_.push_back({level, component_, std::move(text), std::move(fields)});
    } else {
      ++dropped_;
    }
  }

  std::vector<LogEvent> take() {
    std::vector<LogEvent> taken = std::exchange(events_, {});
    if (dropped_ > 0) {
      taken.push_back({LogLevel::kWarning, component_,
                       std::to_string(dropped_) + " more notices were left out"});
    }
    dropped_ = 0;
    debug_events_ = 0;
    return taken;
  }

 private:
  // A screen or two: more than a person reads at once.
  static constexpr size_t kCapacity = 256;

  // Beside those: what developers read leaves no less room for what people read.
  static constexpr size_t kDebugCapacity = 64;

  std::string component_;
  std::vector<LogEvent> events_;
  size_t debug_events_ = 0;  // of them
  size_t dropped_ = 0;
};

}  // namespace potluck
