// StopSignal: turns Ctrl-C and SIGTERM into a flag. Made first thing in main(), before any other
// thread, so that all threads inherit the blocked signals and only the one in here receives them. A
// second signal ends the process at once.
#pragma once

#include <atomic>
#include <thread>

namespace potluck {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  const std::atomic<bool>& requested() const { return requested_; }
  // Ctrl-C was about one piece of work, which has stopped: the next signal is a new request. What
  // SIGTERM asks for stays.
  void rearm() {
    if (!terminating_) requested_ = false;
  }

 private:
  void wait_for_signals();

  std::atomic<bool> requested_{false};
  std::atomic<bool> terminating_{false};
  std::atomic<bool> ending_{false};
  std::thread waiter_;
};

}  // namespace potluck
