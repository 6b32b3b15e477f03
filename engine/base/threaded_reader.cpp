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
    std::lock_guard guard(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadedBlockReader::read_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    BlockRead read = *queue_.pop();
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
    std::lock_guard guard(mutex_);
    for (const BlockRead& read : reads) queue_.push(read);
  }
  for (size_t i = 0; i < std::min(reads.size(), threads_.size()); ++i) work_.notify_one();
}

void ThreadedBlockReader::promote(uint64_t tag) {
  std::lock_guard guard(mutex_);
  queue_.promote(tag);
}

void ThreadedBlockReader::collect(std::vector<BlockReadDone>* done, bool wait) {
  if (outstanding_ == 0) return;
  std::unique_lock lock(mutex_);
  if (wait) finished_.wait(lock, [this] { return !done_.empty(); });
  outstanding_ -= done_.size();
  hand_over(&done_, done);
}

}  // namespace potluck
