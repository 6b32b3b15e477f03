#include "coordinator/cli/log_file.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/standard_streams.h"
#include "engine/base/terminal_text.h"

namespace potluck {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%SZ %l %n: %v";
constexpr const char* kJsonPattern = "%v";  // a whole document by itself
constexpr mode_t kMode = 0600;              // names of devices and files are not for others

spdlog::level::level_enum spdlog_level(LogLevel level) {
  return spdlog::level::from_str(log_level_name(level));
}

nlohmann::json as_json(const LogValue& value) {
  return std::visit([](const auto& held) { return nlohmann::json(held); }, value);
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

}  // namespace

void add_log_flags(CLI::App* parser, LogFlags* flags) {
  add_choice(parser, "--log-level", &flags->level, {"debug", "info", "warning", "error"},
             "what is logged: debug, info (default), warning or error")
      .envname("POTLUCK_LOG_LEVEL");
  add_choice(parser, "--log-format", &flags->format, {"text", "json"},
             "form of the log: text (default) or json, one object a line")
      .envname("POTLUCK_LOG_FORMAT");
  add_text(parser, "--log-file", &flags->file,
           "a file to append the log to; standard error then shows what it always shows")
      .envname("POTLUCK_LOG_FILE");
}

LogFlags given_log_flags(const CLI::App& parser) {
  LogFlags flags;
  auto take = [&parser](const char* name, std::string* target) {
    if (std::optional<std::string> given = given_text(parser, name)) *target = std::move(*given);
  };
  take("--log-level", &flags.level);
  take("--log-format", &flags.format);
  take("--log-file", &flags.file);
  return flags;
}

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

LogLevel log_level(const LogFlags& flags) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kWarning, LogLevel::kError}) {
    if (flags.level == log_level_name(level)) return level;
  }
  return LogLevel::kInfo;
}

std::string json_line(const LogEvent& event, int64_t unix_seconds) {
  nlohmann::json fields = nlohmann::json::object();
  for (const LogField& field : event.fields) fields[field.name] = as_json(field.value);
  std::time_t time = unix_seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  return json_text({{"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", parts)},
                    {"level", log_level_name(event.level)},
                    {"component", event.component},
                    {"message", event.message},
                    {"fields", std::move(fields)}});
}

std::string text_with_fields(const LogEvent& event) {
  std::string text = event.message;
  for (const LogField& field : event.fields) {
    const std::string* plain = std::get_if<std::string>(&field.value);
    text += fmt::format(" {}={}", field.name,
                        plain != nullptr ? *plain : json_text(as_json(field.value)));
  }
  // A name with a line break in it would forge a line of the log.
  return terminal_line(text);
}

// Writes each line with one system call where it can: O_APPEND then keeps the lines of several
// programs apart. No mutex of its own: calls come one at a time.
class LogFile::Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit Sink(int descriptor) : descriptor_(descriptor) {}
  ~Sink() override { ::close(descriptor_); }

  int error() const { return error_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    error_ = write_all(descriptor_, {line.data(), line.size()});
  }
  void flush_() override {}

  int descriptor_;
  int error_ = 0;
};

LogFile::LogFile(const LogFlags& flags, const Clock& clock, int descriptor)
    : path_(flags.file),
      json_(flags.json()),
      clock_(clock),
      sink_(std::make_unique<Sink>(descriptor)) {
  sink_->set_level(spdlog_level(log_level(flags)));
  sink_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      json_ ? kJsonPattern : kTextPattern, spdlog::pattern_time_type::utc, "\n"));
}

LogFile::~LogFile() = default;

Result<std::unique_ptr<LogFile>> LogFile::open(const LogFlags& flags, const Clock& clock) {
  // O_NONBLOCK: opening a named pipe must not wait for a reader.
  int descriptor =
      ::open(flags.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, kMode);
  auto failure = [&](const std::string& why) {
    return Error{ErrorCode::kIo, fmt::format("--log-file {}: {}", flags.file, why)};
  };
  if (descriptor < 0) return failure(reason(errno));
  struct stat status = {};
  // A pipe that is read slowly would hold up the work.
  if (::fstat(descriptor, &status) != 0 || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    ::close(descriptor);
    return failure("expected a file, found something else");
  }
  return std::unique_ptr<LogFile>(new LogFile(flags, clock, descriptor));
}

Status LogFile::write(const LogEvent& event) {
  auto level = spdlog_level(event.level);
  if (!sink_->should_log(level)) return {};
  auto failure = [&](const std::string& why) {
    return Error{ErrorCode::kIo, fmt::format("--log-file {}: {}", path_, why)};
  };
  try {
    int64_t seconds = clock_.unix_seconds();
    std::string line = json_ ? json_line(event, seconds) : text_with_fields(event);
    spdlog::log_clock::time_point time{std::chrono::seconds(seconds)};
    sink_->log(spdlog::details::log_msg(time, {}, event.component, level, line));
  } catch (const std::exception& error) {  // spdlog::spdlog_ex, fmt::format_error
    return failure(error.what());
  }
  return sink_->error() == 0 ? Status() : Status(failure(reason(sink_->error())));
}

}  // namespace potluck
