// Mutex, MutexLock and Condition: std::mutex, std::unique_lock and std::condition_variable with
// annotations. Clang then refuses code that uses a member marked GUARDED_BY(mutex) without holding
// the mutex (-Wthread-safety; scripts/check builds with it); for other compilers they say it to the
// reader. Waits have no predicate: the analysis does not look into lambdas, so callers loop. Not
// for a lock that is returned or handed on, which the analysis cannot follow: CoordinatorLoop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#ifdef __clang__
#define POTLUCK_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define POTLUCK_THREAD_ATTRIBUTE(x)
#endif

// Of a member: to be used while the mutex is held. Of a function: to be called so.
#define GUARDED_BY(mutex) POTLUCK_THREAD_ATTRIBUTE(guarded_by(mutex))
#define REQUIRES(mutex) POTLUCK_THREAD_ATTRIBUTE(requires_capability(mutex))
// Of a function that another order than the mutex keeps apart from other threads; say which.
#define NO_THREAD_SAFETY_ANALYSIS POTLUCK_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace potluck {

class POTLUCK_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds a mutex as long as it lives, except between unlock() and lock().
class POTLUCK_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) POTLUCK_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : lock_(mutex.mutex_) {}
  ~MutexLock() POTLUCK_THREAD_ATTRIBUTE(release_capability()) {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void lock() POTLUCK_THREAD_ATTRIBUTE(acquire_capability()) { lock_.lock(); }
  void unlock() POTLUCK_THREAD_ATTRIBUTE(release_capability()) { lock_.unlock(); }

 private:
  friend class Condition;
  std::unique_lock<std::mutex> lock_;
};

// May return without a reason, as the standard's does.
class Condition {
 public:
  void wait(MutexLock& lock) { condition_.wait(lock.lock_); }
  // Returns false when the time is over.
  bool wait_for(MutexLock& lock, std::chrono::nanoseconds time) {
    return condition_.wait_for(lock.lock_, time) == std::cv_status::no_timeout;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace potluck
