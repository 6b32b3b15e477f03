// A job is published by opening the gate and raising the generation. All threads then draw task
// numbers from one counter until it is exhausted. Helpers pass the gate only while it is open, and
// the caller closes it when there is nothing left to draw: it waits for the helpers inside, which
// are computing, and not for those that the system has not let run yet. None can still read job_
// when the next job is written.
#include "engine/base/thread_pool.h"

#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// Of the gate's word; the other bits count the helpers inside.
constexpr uint32_t kOpen = uint32_t{1} << 31;

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
  generation_.value.fetch_add(1);
  generation_.wake_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadPool::run_erased(size_t tasks, const void* body, Call call) {
  if (helpers_.empty() || tasks <= 1) {
    for (size_t task = 0; task < tasks; ++task) call(body, task, 0);
    return;
  }
  job_ = {body, call, tasks};
  next_task_.store(0, std::memory_order_relaxed);
  // A helper that sees the gate open sees the job.
  gate_.value.store(kOpen, std::memory_order_release);
  generation_.value.fetch_add(1);
  generation_.wake_all();
  work(0);
  uint32_t inside = gate_.value.fetch_and(~kOpen) & ~kOpen;
  while (inside != 0) {
    gate_.wait_while(inside);
    inside = gate_.value.load(std::memory_order_acquire);
  }
  rethrow_exception();
}

// After the job: seeing no helper inside orders this after what they did, without a lock per job.
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

bool ThreadPool::enter() {
  uint32_t gate = gate_.value.load(std::memory_order_relaxed);
  while ((gate & kOpen) != 0) {
    if (gate_.value.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// The caller waits for a change of the count, so each one is told; mostly it does not sleep.
void ThreadPool::leave() {
  gate_.value.fetch_sub(1);
  gate_.wake_all();
}

void ThreadPool::helper_loop(int thread) {
  uint32_t seen = 0;
  for (;;) {
    generation_.wait_while(seen);
    seen = generation_.value.load(std::memory_order_acquire);
    // Written before the generation that woke this thread.
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!enter()) continue;
    work(thread);
    leave();
  }
}

}  // namespace potluck
