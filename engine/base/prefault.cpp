// The pieces are small enough that the end of a process does not wait for long. Errors are not
// reported: what could not be prepared is found a page when it is first written, as without this.
#include "engine/base/prefault.h"

#include <algorithm>

#include <sys/mman.h>

#include "engine/base/memory_pages.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr uint64_t kPiece = 16 * kMiB;

bool populate(MutableByteSpan memory) {
#ifdef MADV_POPULATE_WRITE
  return ::madvise(memory.data(), memory.size(), MADV_POPULATE_WRITE) == 0;
#else
  return memory.empty();
#endif
}

}  // namespace

Prefault::Prefault(MutableByteSpan memory, uint64_t distance)
    : memory_(whole_pages(memory)), distance_(distance) {
  if (memory_.empty() || distance_ == 0) return;
  used(0);
  Result<std::thread> thread = start_thread([this] { run(); });
  if (thread) thread_ = std::move(*thread);
}

Prefault::~Prefault() {
  if (!thread_.joinable()) return;
  {
    MutexLock guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefault::used(uint64_t bytes) {
  bytes = std::min<uint64_t>(bytes, memory_.size());
  uint64_t wanted = bytes + std::min<uint64_t>(distance_, memory_.size() - bytes);
  MutexLock guard(mutex_);
  if (wanted <= wanted_) return;
  // A piece at a time, so that a user who calls for every grain seldom wakes the thread.
  if (wanted - wanted_ < kPiece && wanted < memory_.size()) return;
  wanted_ = wanted;
  changed_.notify_all();
}

void Prefault::wait() {
  if (!thread_.joinable()) return;
  MutexLock lock(mutex_);
  while (prepared_ < wanted_ && !stopping_) changed_.wait(lock);
}

// 0 when it is time to end.
uint64_t Prefault::next_piece() {
  MutexLock lock(mutex_);
  while (prepared_ >= wanted_ && !stopping_) changed_.wait(lock);
  return stopping_ ? 0 : std::min(kPiece, wanted_ - prepared_);
}

void Prefault::run() {
  uint64_t begin = 0;
  while (uint64_t bytes = next_piece()) {
    bool done = populate(memory_.subspan(begin, bytes));
    begin += bytes;
    MutexLock guard(mutex_);
    prepared_ = begin;
    stopping_ = stopping_ || !done;
    changed_.notify_all();
  }
}

}  // namespace potluck
