// Each thread takes one request, reads without the lock, and puts the result down: while there are
// requests, as many reads are at the device as there are threads.
#include "engine/base/threaded_reader.h"

#include <algorithm>
#include <utility>

#include "engine/base/out_of_resources.h"

namespace potluck {

ThreadedBlockReader::ThreadedBlockReader(uint32_t depth, const Clock& clock) : clock_(clock) {
  CHECK(depth > 0);
  threads_.reserve(depth);
  for (uint32_t i = 0; i < depth; ++i) {
    Result<std::thread> thread = start_thread([this] { read_loop(); });
    if (!thread) return;
    threads_.push_back(std::move(*thread));
  }
}

ThreadedBlockReader::~ThreadedBlockReader() {
  {
    MutexLock guard(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadedBlockReader::read_loop() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && queue_.empty()) work_.wait(lock);
    if (stopping_) return;
    BlockRead read = *queue_.pop();
    // The read itself is what runs in parallel; only queue and results are shared.
    lock.unlock();
    TimePoint start = clock_.now();
    Status status = read.file->read_parts_at(read.offset, read.parts.span());
    Duration took = clock_.now() - start;
    lock.lock();
    done_.push_back({read.tag, std::move(status), took});
    finished_.notify_one();
  }
}

void ThreadedBlockReader::submit(std::span<const BlockRead> reads) {
  if (reads.empty()) return;
  outstanding_ += reads.size();
  {
    MutexLock guard(mutex_);
    for (const BlockRead& read : reads) queue_.push(read);
  }
  // One wake-up per read and not notify_all(), which would wake all threads for a single read.
  for (size_t i = 0; i < std::min(reads.size(), threads_.size()); ++i) work_.notify_one();
}

void ThreadedBlockReader::promote(uint64_t tag) {
  MutexLock guard(mutex_);
  queue_.promote(tag);
}

void ThreadedBlockReader::collect(std::vector<BlockReadDone>* done, bool wait) {
  if (outstanding_ == 0) return;
  MutexLock lock(mutex_);
  while (wait && done_.empty()) finished_.wait(lock);
  outstanding_ -= done_.size();
  hand_over(&done_, done);
}

}  // namespace potluck
