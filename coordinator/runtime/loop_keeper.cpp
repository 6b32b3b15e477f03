#include "coordinator/runtime/loop_keeper.h"

#include <algorithm>

namespace potluck {
namespace {

// While messages come and go. Long enough that a thread that waits for the loop gets it first.
constexpr Duration kBusyPause = std::chrono::milliseconds(1);

}  // namespace

LoopKeeper::LoopKeeper(CoordinatorLoop& loop, const Clock& clock)
    : loop_(loop), clock_(clock), thread_([this] { run(); }) {}

LoopKeeper::~LoopKeeper() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_one();
  thread_.join();
}

void LoopKeeper::run() {
  MutexLock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    Duration pause = look();
    lock.lock();
    if (!stop_) stopped_.wait_for(lock, pause);  // waking early costs one look at a clock
  }
}

// Takes a turn if it is time for one and no other thread holds the loop. Never waits while holding
// the loop: the thread that generates may want it. Returns how long to pause.
Duration LoopKeeper::look() {
  auto lock = loop_.try_lock();
  if (!lock.owns_lock()) return kInterval;
  // The other thread is just taking turns; one from here would only delay it.
  Duration since = clock_.now() - loop_.last_look();
  if (since < kBusyPause) return kInterval;
  if (loop_.turn(Duration::zero())) return kBusyPause;
  return std::clamp(loop_.next_due() - clock_.now(), kBusyPause, kInterval);
}

}  // namespace potluck
