// A thread that waits with sigwait() instead of a handler: a handler may call next to nothing
// (signal-safety(7)), while this one takes a lock and wakes others.
#include "coordinator/cli/stop_signal.h"

#include <utility>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kSignalled = 128;  // what shells add to the number of a signal that ended a process

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);  // from our own destructor
  return signals;
}

}  // namespace

StopSignal::LastWords::LastWords(StopSignal& stop, std::function<void()> say) : stop_(stop) {
  std::lock_guard lock(stop_.mutex_);
  outer_ = std::exchange(stop_.last_words_, std::move(say));
}

StopSignal::LastWords::~LastWords() {
  std::lock_guard lock(stop_.mutex_);
  stop_.last_words_ = std::move(outer_);
}

StopSignal::StopSignal() {
  sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  waiter_ = std::thread([this] { wait_for_signals(); });
}

StopSignal::~StopSignal() {
  ending_ = true;
  pthread_kill(waiter_.native_handle(), SIGUSR1);
  waiter_.join();
}

void StopSignal::wait(Duration patience) const {
  std::unique_lock lock(mutex_);
  requested_now_.wait_for(lock, patience, [this] { return requested_.load(); });
}

int StopSignal::exit_code() const {
  return kSignalled + (terminating_ ? SIGTERM : SIGINT);
}

void StopSignal::wait_for_signals() {
  sigset_t signals = stop_signals();
  int received = 0;
  while (sigwait(&signals, &received) == 0) {
    if (ending_) return;
    // Sent from outside, it means nothing.
    if (received == SIGUSR1) continue;
    if (received == SIGTERM) terminating_ = true;
    std::lock_guard lock(mutex_);
    // _exit(), not exit(): other threads are at work, and destructors of static objects would pull
    // away what they use.
    if (requested_.exchange(true) || watches_ == 0) {
      if (last_words_) last_words_();
      _exit(kSignalled + received);
    }
    requested_now_.notify_all();
  }
}

}  // namespace potluck
