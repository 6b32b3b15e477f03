// What people see on standard error: notices, and progress of anything that takes longer than a
// second (a bar on a terminal, plain lines otherwise). Names of models, peers and files in it are
// made harmless here (terminal_line). Standard error may be full or closed: messages are then lost,
// the work goes on. Standard output is not touched here. Any thread: a pool's network thread has
// notices, too.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/format_bytes.h"
#include "engine/base/terminal_text.h"

namespace potluck {

class Terminal {
 public:
  Terminal(const Clock& clock, bool quiet);
  ~Terminal();

  // A line for people; not shown when quiet.
  void notice(const std::string& text);
  // A line that is shown always.
  void error(const std::string& text);
  // A piece of text with line ends, such as a model's reasoning: on a terminal control characters
  // other than newline and tab are shown, elsewhere every byte stays.
  void text(std::string_view piece);
  void end_text();
  // `stage` names the work ("loading"); a new stage or done == total ends the line.
  void progress(const std::string& stage, uint64_t done, uint64_t total);
  // Ends an unfinished progress line.
  void end_progress();

 private:
  void draw(uint64_t done, uint64_t total);
  void write(std::string_view text);
  void close_line();

  const Clock& clock_;
  bool quiet_;
  bool is_terminal_;
  std::mutex mutex_;  // of all below, and of standard error
  std::string stage_;
  TimePoint stage_start_{0};
  TimePoint last_drawn_{0};
  bool line_open_ = false;
  TerminalText shown_;
};

}  // namespace potluck
