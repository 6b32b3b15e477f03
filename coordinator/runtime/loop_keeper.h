// LoopKeeper: a thread that takes turns of a CoordinatorLoop while the thread that generates does
// not: during a long computation, while a person thinks, between two requests. Heartbeats are
// answered, invitations redeemed and experts delivered all the same.
#pragma once

#include <thread>

#include "coordinator/dispatch/coordinator_loop.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class LoopKeeper {
 public:
  // How far two looks at the network are apart at most, plus what a turn takes. While experts are
  // computed elsewhere, their executor looks far more often, and this thread only looks at a clock.
  static constexpr Duration kInterval = std::chrono::milliseconds(20);

  // `loop` and `clock` must outlive the keeper. Any thread.
  LoopKeeper(CoordinatorLoop& loop, const Clock& clock);
  ~LoopKeeper();
  LoopKeeper(const LoopKeeper&) = delete;
  LoopKeeper& operator=(const LoopKeeper&) = delete;

 private:
  void run();
  Duration look();

  CoordinatorLoop& loop_;
  const Clock& clock_;
  Mutex mutex_;
  Condition stopped_;
  bool stop_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace potluck
