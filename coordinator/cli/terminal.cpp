#include "coordinator/cli/terminal.h"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

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
  if (quiet_) return;
  std::lock_guard lock(mutex_);
  close_line();
  fmt::print(stderr, "{}\n", text);
}

void Terminal::error(const std::string& text) {
  std::lock_guard lock(mutex_);
  close_line();
  fmt::print(stderr, "{}\n", text);
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
    fmt::print(stderr, "{}: {} %\n", stage_, percent);
    return;
  }
  uint64_t filled = total > 0 ? done * kBarWidth / total : 0;
  fmt::print(stderr, "\r{}: [{}{}] {:3} %", stage_, std::string(filled, '#'),
             std::string(kBarWidth - filled, ' '), percent);
  std::fflush(stderr);
  line_open_ = true;
}

void Terminal::end_progress() {
  std::lock_guard lock(mutex_);
  close_line();
}

void Terminal::close_line() {
  if (line_open_) fmt::print(stderr, "\n");
  line_open_ = false;
  stage_.clear();
}

}  // namespace potluck
