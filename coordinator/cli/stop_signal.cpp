#include "coordinator/cli/stop_signal.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kExitInterrupted = 130;  // what shells expect after Ctrl-C

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);  // from our own destructor
  return signals;
}

}  // namespace

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

void StopSignal::wait_for_signals() {
  sigset_t signals = stop_signals();
  int received = 0;
  while (sigwait(&signals, &received) == 0) {
    if (ending_) return;
    if (received == SIGUSR1) continue;
    if (received == SIGTERM) terminating_ = true;
    if (requested_.exchange(true)) _exit(kExitInterrupted);
  }
}

}  // namespace potluck
