// TerminalGuard: a terminal as it was found, to be given back like that however the program ends:
// in order, by a second Ctrl-C, or because the other end is gone. Only SIGKILL leaves it as it is.
// One thread.
#pragma once

#include <functional>
#include <string>

#include <termios.h>

#include "coordinator/cli/stop_signal.h"

namespace potluck {

class TerminalGuard {
 public:
  // Keeps the settings of `keyboard`, if that is a terminal, and what has to be written to `screen`
  // at the end. Both stay open and are the caller's.
  TerminalGuard(StopSignal& stop, int keyboard, int screen, std::string undo);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

  // Keys come one by one and unseen, Ctrl-C as one of them. False where there is no keyboard.
  bool take_keys();

 private:
  // Waits so long at most for a terminal that takes no output (Ctrl-S).
  void restore(int milliseconds) const;

  int keyboard_;
  int screen_;
  std::string undo_;
  termios found_{};
  bool has_keyboard_;                 // and found_ holds its settings
  StopSignal::LastWords last_words_;  // ends first
};

}  // namespace potluck
