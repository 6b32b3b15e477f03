// A job is published by raising the generation. All threads then draw task numbers from one counter
// until it is exhausted, and each helper reports once. The caller returns only when every helper
// has: none can still read job_ when the next job is written.
#include "engine/base/thread_pool.h"

#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// About 20 microseconds of polling before a thread sleeps: longer than the gap between two matrices
// of a token, far shorter than a scheduler slice that a busy neighbor would miss. Sleeping at last
// is what keeps a shared machine usable: an engine that only spins fell from 141 to 6.7 tokens/s
// beside one busy neighbor.
constexpr int kSpins = 2000;

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`: spins, then sleeps on the address.
template <class T>
void wait_for_change(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  while (value.load(std::memory_order_acquire) == old) {
    value.wait(old, std::memory_order_acquire);
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  CHECK(threads >= 1);
  helpers_.reserve(static_cast<size_t>(threads - 1));
  for (int i = 1; i < threads; ++i) {
    Result<std::thread> helper = start_thread([this, i] { helper_loop(i); });
    if (!helper) {
      started_ = helper.error().in(fmt::format("{} of {} threads run", i, threads));
      return;
    }
    helpers_.push_back(std::move(*helper));
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::run_erased(size_t tasks, const void* body, Call call) {
  if (helpers_.empty() || tasks <= 1) {
    for (size_t task = 0; task < tasks; ++task) call(body, task, 0);
    return;
  }
  // Plain and relaxed writes suffice: the release of generation_ makes them visible to a helper
  // that sees the new number.
  job_ = {body, call, tasks};
  next_task_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(helpers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(0);
  for (int left = busy_.load(std::memory_order_acquire); left != 0;
       left = busy_.load(std::memory_order_acquire)) {
    wait_for_change(busy_, left);
  }
  rethrow_exception();
}

// After the job: reading busy_ == 0 orders this after what the helpers did, without a lock per job.
void ThreadPool::rethrow_exception() NO_THREAD_SAFETY_ANALYSIS {
  if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
}

// An exception must not leave while other threads use what it would unwind. The stack of the caller
// holds the body and what it refers to.
void ThreadPool::work(int thread) {
  try {
    for (;;) {
      size_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
      if (task >= job_.tasks) return;
      job_.call(job_.body, task, thread);
    }
  } catch (...) {
    note_exception();
  }
}

void ThreadPool::note_exception() {
  next_task_.store(job_.tasks, std::memory_order_relaxed);  // the rest is not worth doing
  MutexLock guard(mutex_);
  if (!exception_) exception_ = std::current_exception();
}

void ThreadPool::helper_loop(int thread) {
  uint32_t seen = 0;
  for (;;) {
    wait_for_change(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    // Written before the generation that woke this thread.
    if (stopping_.load(std::memory_order_relaxed)) return;
    work(thread);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

}  // namespace potluck
