#include "coordinator/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/standard_streams.h"

namespace potluck {
namespace {

constexpr Duration kSilence = std::chrono::seconds(1);
constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kPlainLine = std::chrono::seconds(5);
constexpr uint64_t kBarWidth = 32;

}  // namespace

Terminal::Terminal(const Clock& clock, bool quiet)
    : clock_(clock), quiet_(quiet), is_terminal_(isatty(STDERR_FILENO) == 1) {}

Terminal::~Terminal() {
  end_progress();
}

void Terminal::notice(const std::string& text) {
  if (!quiet_) error(text);
}

void Terminal::error(const std::string& text) {
  std::lock_guard lock(mutex_);
  close_line();
  write(terminal_line(text) + "\n");
}

void Terminal::text(std::string_view piece) {
  std::lock_guard lock(mutex_);
  close_line();
  write(is_terminal_ ? shown_.push(piece) : std::string(piece));
}

void Terminal::end_text() {
  std::lock_guard lock(mutex_);
  if (is_terminal_) write(shown_.finish());
}

void Terminal::progress(const std::string& stage, uint64_t done, uint64_t total) {
  if (quiet_) return;
  std::lock_guard lock(mutex_);
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
    write(fmt::format("{}: {} %\n", terminal_line(stage_), percent));
    return;
  }
  uint64_t filled = total > 0 ? done * kBarWidth / total : 0;
  write(fmt::format("\r{}: [{}{}] {:3} %", terminal_line(stage_), std::string(filled, '#'),
                    std::string(kBarWidth - filled, ' '), percent));
  line_open_ = true;
}

void Terminal::end_progress() {
  std::lock_guard lock(mutex_);
  close_line();
}

void Terminal::close_line() {
  if (line_open_) write("\n");
  line_open_ = false;
  stage_.clear();
}

// Nothing can be said about messages that cannot be written, and nothing depends on them.
void Terminal::write(std::string_view text) {
  (void)write_all(STDERR_FILENO, text);
}

}  // namespace potluck
