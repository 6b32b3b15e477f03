// LogSink: where events go that people or programs may read, with a level, the component that says
// it, a message for people and fields for programs. Passed in by constructor; its maker
// decides what is written where. Messages may quote hostile text: escaping is the sink's. Nothing
// secret belongs in an event: no keys, tokens or prompts. Implementations take any thread.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
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
  // Counts and ids of every type are int64 here; true and false stay themselves.
  template <class Value>
  LogField(std::string field, Value given)
      : name(std::move(field)), value(kept(std::move(given))) {}

  std::string name;
  LogValue value;

 private:
  template <class Value>
  static LogValue kept(Value given) {
    if constexpr (std::is_integral_v<Value> && !std::is_same_v<Value, bool>) {
      return static_cast<int64_t>(given);
    } else if constexpr (std::is_convertible_v<Value, std::string>) {
      return std::string(std::move(given));
    } else {
      return given;
    }
  }
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
