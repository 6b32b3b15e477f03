// What people see on standard error: events of the log, and progress of anything that takes longer
// than a second (a bar on a terminal, plain lines otherwise). Names of models, peers and files in
// it are made harmless here (terminal_line). Standard error may be full or closed: messages are
// then lost, the work goes on; a log file that cannot be written is given up, which is said once.
// Standard output is not touched here. Any thread: a pool's network thread has events, too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/cli/log_file.h"
#include "coordinator/cli/terminal_style.h"
#include "engine/base/clock.h"
#include "engine/base/format_bytes.h"
#include "engine/base/notice_limiter.h"
#include "engine/base/terminal_text.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class Terminal final : public LogSink {
 public:
  explicit Terminal(const Clock& clock);
  ~Terminal() override;

  // Before anything else is called; at first events of kInfo and above are shown as text. Quiet
  // shows errors only. With a file the level and the format are the file's.
  void configure(const LogFlags& flags, bool quiet);

  bool wants(LogLevel level) const override;
  // Others than the command itself may say so much of a kind and no more (NoticeLimiter).
  void write(const LogEvent& event) override;

  // Says what the limits left out lately, if it is time.
  void sum_up();

  // A line of the command itself for people; not shown when quiet.
  void notice(const std::string& text);
  // A line that is shown always.
  void error(const std::string& text);
  // A piece of text with line ends, such as a model's reasoning: on a terminal control characters
  // other than newline and tab are shown, elsewhere every byte stays.
  void text(std::string_view piece);
  void end_text();
  // The same, set apart by its color where there are colors.
  void aside(std::string_view piece);
  // `stage` names the work ("loading"); a new stage or done == total ends the line.
  void progress(const std::string& stage, uint64_t done, uint64_t total);
  // Ends an unfinished progress line.
  void end_progress();
  // How far something is that leaves no trace: shown on a terminal alone, once it takes longer than
  // a second, in tokens.
  void passing(const std::string& stage, uint64_t done, uint64_t total);
  // Erases it, if it is there.
  void end_passing();

 private:
  void record_summaries() REQUIRES(mutex_);
  void record(const LogEvent& event) REQUIRES(mutex_);
  void show(const LogEvent& event) REQUIRES(mutex_);
  void draw(uint64_t done, uint64_t total) REQUIRES(mutex_);
  void print(std::string_view text) REQUIRES(mutex_);
  void close_line() REQUIRES(mutex_);
  void close_open_line() REQUIRES(mutex_);
  void erase_passing() REQUIRES(mutex_);

  const Clock& clock_;
  bool quiet_ = false;
  bool is_terminal_;
  TerminalStyle style_;
  LogLevel shown_level_ = LogLevel::kInfo;
  LogLevel wanted_level_ = LogLevel::kInfo;
  bool shows_json_ = false;
  Mutex mutex_;  // of standard error, too
  NoticeLimiter limiter_ GUARDED_BY(mutex_);
  std::unique_ptr<LogFile> file_ GUARDED_BY(mutex_);  // or null
  std::string stage_ GUARDED_BY(mutex_);
  TimePoint stage_start_ GUARDED_BY(mutex_){0};
  TimePoint last_drawn_ GUARDED_BY(mutex_){0};
  bool line_open_ GUARDED_BY(mutex_) = false;
  struct Passing {
    TimePoint since;
    uint64_t begun_at;  // what was done by then
    TimePoint drawn_at;
    bool shown = false;
  };
  std::optional<Passing> passing_ GUARDED_BY(mutex_);
  TerminalText shown_ GUARDED_BY(mutex_);
};

}  // namespace potluck
