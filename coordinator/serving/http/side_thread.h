// SideThread: does what takes the HTTP server's thread too long, such as reading megabytes of JSON,
// one piece after the other. Its thread starts with the first of them and ends with it. Any thread
// may call.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "engine/base/thread_annotations.h"

namespace potluck {

class SideThread {
 public:
  // Each holds a request of some megabytes.
  static constexpr size_t kMostWaiting = 8;

  SideThread() = default;
  // Waits for what is being done; the rest is never done.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  // False: too many wait, or the system gives no thread. The work catches its own exceptions.
  bool run(std::function<void()> work);

 private:
  void work_until_stopped();

  Mutex mutex_;
  Condition changed_;
  std::deque<std::function<void()>> waiting_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace potluck
