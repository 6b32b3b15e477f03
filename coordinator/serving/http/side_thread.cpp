#include "coordinator/serving/http/side_thread.h"

#include <utility>

#include "engine/base/out_of_resources.h"

namespace potluck {

SideThread::~SideThread() {
  std::thread thread;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

bool SideThread::run(std::function<void()> work) {
  MutexLock lock(mutex_);
  if (stopping_ || waiting_.size() >= kMostWaiting) return false;
  if (!thread_.joinable()) {
    auto started = start_thread([this] { work_until_stopped(); });
    if (!started) return false;
    thread_ = std::move(*started);
  }
  waiting_.push_back(std::move(work));
  changed_.notify_all();
  return true;
}

void SideThread::work_until_stopped() {
  MutexLock lock(mutex_);
  for (;;) {
    while (waiting_.empty() && !stopping_) changed_.wait(lock);
    if (stopping_) return;
    auto work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it holds goes before the next one is waited for
    lock.lock();
  }
}

}  // namespace potluck
