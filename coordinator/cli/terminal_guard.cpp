#include "coordinator/cli/terminal_guard.h"

#include <utility>

#include <poll.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kPatience = 1000;  // milliseconds

}  // namespace

TerminalGuard::TerminalGuard(StopSignal& stop, int keyboard, int screen, std::string undo)
    : keyboard_(keyboard),
      screen_(screen),
      undo_(std::move(undo)),
      has_keyboard_(tcgetattr(keyboard, &found_) == 0),
      last_words_(stop, [this] { restore(0); }) {}

TerminalGuard::~TerminalGuard() {
  restore(kPatience);
}

bool TerminalGuard::take_keys() {
  if (!has_keyboard_) return false;
  termios keys = found_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  keys.c_cc[VMIN] = 1;
  keys.c_cc[VTIME] = 0;
  return tcsetattr(keyboard_, TCSANOW, &keys) == 0;
}

void TerminalGuard::restore(int milliseconds) const {
  if (has_keyboard_) tcsetattr(keyboard_, TCSANOW, &found_);
  pollfd room{screen_, POLLOUT, 0};
  if (undo_.empty() || poll(&room, 1, milliseconds) <= 0 || (room.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const ssize_t written = write(screen_, undo_.data(), undo_.size());
}

}  // namespace potluck
