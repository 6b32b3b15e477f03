// StopSignal: what Ctrl-C and SIGTERM do. Commands that end in order watch for them: the signal
// then becomes a flag. While nothing watches (a file is loaded, standard input is read), and at a
// second signal, the process ends at once, with the exit code that shells expect: 128 plus the
// signal's number. Made first thing in main(), before any other thread, so that all threads inherit
// the blocked signals and only the one in here receives them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/base/clock.h"

namespace potluck {

class StopSignal {
 public:
  // While one lives, the first signal asks instead of ending the process.
  class Watch {
   public:
    explicit Watch(StopSignal& stop) : stop_(stop) { ++stop_.watches_; }
    ~Watch() { --stop_.watches_; }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    StopSignal& stop_;
  };

  // While one lives, this is called before the process ends at once: to give a terminal back as it
  // was. By the thread that receives signals; it must not wait for anything.
  class LastWords {
   public:
    LastWords(StopSignal& stop, std::function<void()> say);
    ~LastWords();
    LastWords(const LastWords&) = delete;
    LastWords& operator=(const LastWords&) = delete;

   private:
    StopSignal& stop_;
    std::function<void()> outer_;  // those of one that lives longer
  };

  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  const std::atomic<bool>& requested() const { return requested_; }
  // Waits for a request, so long at most.
  void wait(Duration patience) const;
  // 128 + SIGTERM or 128 + SIGINT, for a command that was asked to stop and does.
  int exit_code() const;
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
  std::atomic<int> watches_{0};
  std::function<void()> last_words_;  // touched only while mutex_ is held
  mutable std::mutex mutex_;
  mutable std::condition_variable requested_now_;
  std::thread waiter_;
};

}  // namespace potluck
