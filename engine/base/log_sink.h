// LogSink: where events go that people or programs may read, with a level, the component that says
// it, a message for people and fields for programs. Passed in by constructor; its maker
// decides what is written where. Messages may quote hostile text: escaping is the sink's. Nothing
// secret belongs in an event: no keys, tokens or prompts. Implementations take any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace potluck {

enum class LogLevel : uint8_t {
  kDebug,    // what a developer needs
  kInfo,     // what people should know
  kWarning,  // something was lost or mended
  kError,    // why a command failed
};

using LogValue = std::variant<bool, int64_t, double, std::string>;

struct LogField {
  std::string name;
  LogValue value;
};

struct LogEvent {
  LogLevel level = LogLevel::kInfo;
  std::string component;  // "pool", "dispatch", "worker" ..
  std::string message;
  std::vector<LogField> fields{};
};

class LogSink {
 public:
  virtual ~LogSink() = default;

  // Whether events of this level go anywhere: ask before an event that takes time to put together.
  virtual bool wants(LogLevel level) const = 0;
  virtual void write(const LogEvent& event) = 0;
};

// Without a sink, nothing happens.
inline void log_to(LogSink* sink, const LogEvent& event) {
  if (sink != nullptr) sink->write(event);
}

}  // namespace potluck
