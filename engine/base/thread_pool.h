// ThreadPool: runs the tasks 0..n-1 of one job on a fixed set of threads, the caller's among them.
// It never decides what a task computes: results do not depend on the number of threads. Built for
// many short jobs in a row (one matrix of one token): idle threads spin briefly, then sleep.
//
// Owned by the engine's owner; run() is called by one thread at a time and is not reentrant.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/thread_annotations.h"
#include "engine/base/wait_word.h"

namespace potluck {

class ThreadPool {
 public:
  // `threads` >= 1; the caller's thread counts as one. Where the system refuses some of them the
  // pool works with fewer, and started() says why.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }
  // kLimit when there are fewer threads than were asked for.
  const Status& started() const { return started_; }

  // Calls body(task, thread) for every task in [0, tasks), in any order, with thread in
  // [0, threads()); returns when all are done. An exception for lack of memory in any of them ends
  // the job and is thrown here, once no thread works on it any more.
  template <class Body>
  void run(size_t tasks, const Body& body) {
    run_erased(tasks, &body, [](const void* erased, size_t task, int thread) {
      (*static_cast<const Body*>(erased))(task, thread);
    });
  }

 private:
  using Call = void (*)(const void* body, size_t task, int thread);
  struct Job {
    const void* body = nullptr;
    Call call = nullptr;
    size_t tasks = 0;
  };

  void run_erased(size_t tasks, const void* body, Call call);
  void helper_loop(int thread);
  bool enter();  // the current job; false: it is over
  void leave();
  void work(int thread);
  void note_exception();
  void rethrow_exception();

  Job job_;
  std::atomic<size_t> next_task_{0};
  WaitWord generation_;  // one more for every job; helpers wait for it to change
  WaitWord gate_;  // whether helpers may still begin with the current job, and how many are inside
  std::atomic<bool> stopping_{false};
  Mutex mutex_;
  std::exception_ptr exception_ GUARDED_BY(mutex_);  // the first one of the current job
  Status started_;
  std::vector<std::thread> helpers_;
};

}  // namespace potluck
