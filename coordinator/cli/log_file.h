// LogFile: the file that --log-file names, and the form of its lines: text or JSON. spdlog formats
// and filters behind it; its exceptions end here. Lines are appended whole, so that several
// programs may share a file. One thread at a time.
#pragma once

#include <memory>
#include <string>

#include "coordinator/cli/cli11_fwd.h"
#include "engine/base/clock.h"
#include "engine/base/log_sink.h"
#include "engine/base/result.h"

namespace potluck {

struct LogFlags {
  std::string level = "info";
  std::string format = "text";
  std::string file;

  bool json() const { return format == "json"; }
};

void add_log_flags(CLI::App* parser, LogFlags* flags);
// What was given to a command that has these flags; the defaults for one that has not.
LogFlags given_log_flags(const CLI::App& parser);
LogLevel log_level(const LogFlags& flags);
// "debug", "info", "warning" or "error".
const char* log_level_name(LogLevel level);

// One line without its end: {"component":..,"fields":{..},"level":..,"message":..,"time":..}.
std::string json_line(const LogEvent& event, int64_t unix_seconds);
// The message and its fields as key=value, control characters shown.
std::string text_with_fields(const LogEvent& event);

class LogFile {
 public:
  static Result<std::unique_ptr<LogFile>> open(const LogFlags& flags, const Clock& clock);
  ~LogFile();

  // An error says why the line, or a part of it, could not be written.
  Status write(const LogEvent& event);

 private:
  class Sink;
  LogFile(const LogFlags& flags, const Clock& clock, int descriptor);

  std::string path_;
  bool json_;
  const Clock& clock_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace potluck
