// RecordedLog: a sink that keeps every event for a test to look at. One thread.
#pragma once

#include <vector>

#include "engine/base/log_sink.h"

namespace potluck::test {

struct RecordedLog final : LogSink {
  bool wants(LogLevel) const override { return true; }
  void write(const LogEvent& event) override { events.push_back(event); }

  std::vector<LogEvent> events;
};

}  // namespace potluck::test
