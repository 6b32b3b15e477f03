#include "coordinator/cli/terminal.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/standard_streams.h"

namespace potluck {
namespace {

constexpr Duration kSilence = std::chrono::seconds(1);
constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kPlainLine = std::chrono::seconds(5);
constexpr uint64_t kBarWidth = 32;
constexpr const char* kErase = "\x1b[K";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kNoColor = "\x1b[0m";
constexpr const char* kCommand = "command";  // the component of what a command itself says

}  // namespace

Terminal::Terminal(const Clock& clock)
    : clock_(clock),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      style_(own_terminal_style(is_terminal_)),
      limiter_(clock) {}

Terminal::~Terminal() {
  end_progress();
  end_passing();
}

void Terminal::configure(const LogFlags& flags, bool quiet) {
  quiet_ = quiet;
  // With a file, level and format are the file's, and standard error shows what it always shows.
  shown_level_ = flags.file.empty() ? log_level(flags) : LogLevel::kInfo;
  if (quiet) shown_level_ = LogLevel::kError;
  shows_json_ = flags.json() && flags.file.empty();
  wanted_level_ = shown_level_;
  if (flags.file.empty()) return;
  auto file = LogFile::open(flags, clock_);
  if (!file) {
    error(file.error().message + "; there is no log");
    return;
  }
  {
    MutexLock lock(mutex_);
    file_ = std::move(*file);
  }
  wanted_level_ = std::min(shown_level_, log_level(flags));
}

bool Terminal::wants(LogLevel level) const {
  return level >= wanted_level_;
}

void Terminal::write(const LogEvent& event) {
  if (!wants(event.level)) return;
  MutexLock lock(mutex_);
  // Peers can cause events, so those are limited; what the command itself says cannot become a
  // flood.
  if (event.component == kCommand || limiter_.admit(event.message)) record(event);
  record_summaries();
}

void Terminal::sum_up() {
  MutexLock lock(mutex_);
  record_summaries();
}

void Terminal::record_summaries() {
  for (std::string& summary : limiter_.take_summaries()) {
    record({LogLevel::kWarning, "log", std::move(summary)});
  }
}

void Terminal::record(const LogEvent& event) {
  if (event.level >= shown_level_) show(event);
  if (file_ == nullptr) return;
  Status written = file_->write(event);
  if (written) return;
  // Given up after the first failure: a full disk would otherwise be told of with every event.
  file_ = nullptr;
  show({LogLevel::kError, kCommand, written.error().message + "; the log ends here"});
}

void Terminal::show(const LogEvent& event) {
  close_line();
  if (shows_json_) {
    print(json_line(event, clock_.unix_seconds()) + "\n");
  } else if (event.level == LogLevel::kDebug) {
    print(event.component + ": " + text_with_fields(event) + "\n");
  } else {
    print(terminal_line(event.message) + "\n");
  }
}

void Terminal::notice(const std::string& text) {
  write({LogLevel::kInfo, kCommand, text});
}

void Terminal::error(const std::string& text) {
  write({LogLevel::kError, kCommand, text});
}

void Terminal::text(std::string_view piece) {
  MutexLock lock(mutex_);
  close_line();
  print(is_terminal_ ? shown_.push(piece) : std::string(piece));
}

// Each piece ends its own color: the program may end between two.
void Terminal::aside(std::string_view piece) {
  MutexLock lock(mutex_);
  close_line();
  if (!is_terminal_) return print(piece);
  const std::string harmless = shown_.push(piece);
  print(style_.colors ? fmt::format("{}{}{}", kDim, harmless, kNoColor) : harmless);
}

void Terminal::end_text() {
  MutexLock lock(mutex_);
  if (is_terminal_) print(shown_.finish());
}

void Terminal::progress(const std::string& stage, uint64_t done, uint64_t total) {
  if (quiet_ || shows_json_) return;
  MutexLock lock(mutex_);
  TimePoint now = clock_.now();
  if (stage != stage_) {
    close_line();
    stage_ = stage;
    stage_start_ = now;
    last_drawn_ = now;
  }
  bool finished = done >= total && line_open_;
  bool due =
      now - stage_start_ >= kSilence && now - last_drawn_ >= (is_terminal_ ? kRedraw : kPlainLine);
  if (!due && !finished) return;
  last_drawn_ = now;
  draw(done, total);
  if (finished) close_line();
}

void Terminal::draw(uint64_t done, uint64_t total) {
  uint64_t percent = total > 0 ? done * 100 / total : 0;
  if (!is_terminal_) {
    print(fmt::format("{}: {} %\n", terminal_line(stage_), percent));
    return;
  }
  uint64_t filled = total > 0 ? done * kBarWidth / total : 0;
  print(fmt::format("\r{}: [{}{}] {:3} %", terminal_line(stage_), std::string(filled, '#'),
                    std::string(kBarWidth - filled, ' '), percent));
  line_open_ = true;
}

void Terminal::end_progress() {
  MutexLock lock(mutex_);
  close_line();
}

void Terminal::passing(const std::string& stage, uint64_t done, uint64_t total) {
  if (quiet_ || shows_json_ || !style_.draws || total == 0) return;
  MutexLock lock(mutex_);
  const TimePoint now = clock_.now();
  if (!passing_) passing_ = Passing{now, done, now};
  if (now - passing_->since < kSilence || now - passing_->drawn_at < kRedraw) return;
  if (!passing_->shown) close_open_line();
  passing_->drawn_at = now;
  passing_->shown = true;
  const double seconds = std::chrono::duration<double>(now - passing_->since).count();
  const double speed = static_cast<double>(done - std::min(done, passing_->begun_at)) / seconds;
  print(fmt::format("\r{}{}: {} %, {:.1f} tokens/s", kErase, terminal_line(stage),
                    std::min<uint64_t>(done, total) * 100 / total, speed));
}

void Terminal::end_passing() {
  MutexLock lock(mutex_);
  erase_passing();
  passing_.reset();
}

void Terminal::erase_passing() {
  if (passing_ && passing_->shown) print(fmt::format("\r{}", kErase));
  if (passing_) passing_->shown = false;
}

void Terminal::close_line() {
  erase_passing();
  close_open_line();
}

void Terminal::close_open_line() {
  if (line_open_) print("\n");
  line_open_ = false;
  stage_.clear();
}

// Nothing can be said about messages that cannot be written, and nothing depends on them.
void Terminal::print(std::string_view text) {
  (void)write_all(STDERR_FILENO, text);
}

}  // namespace potluck
