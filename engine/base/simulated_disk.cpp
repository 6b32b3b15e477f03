// A read gets its due time when it is begun, from the shared rate, and goes to the real reader at
// the same moment. It is handed over when both are done: the simulated time has come, and the bytes
// are there.
#include "engine/base/simulated_disk.h"

#include <utility>

namespace potluck {

SimulatedDisk::SimulatedDisk(std::unique_ptr<BlockReader> real, uint64_t bytes_per_second,
                             const Clock& clock, Wait wait, const Character& character)
    : real_(std::move(real)),
      clock_(clock),
      wait_(std::move(wait)),
      rate_(bytes_per_second),
      character_(character) {}

void SimulatedDisk::begin(const BlockRead& read, TimePoint start) {
  const double slower = character_.slower == nullptr ? 1 : *character_.slower;
  Duration took = rate_.duration_of(read.parts.bytes()) + character_.per_request;
  if (slower != 1) {
    took = Duration(static_cast<Duration::rep>(static_cast<double>(took.count()) * slower));
  }
  begun_.push_back({read.tag, start, rate_.after(start, took), std::nullopt});
  ++running_;
  real_->submit({&read, 1});
}

// Catches up with the time since the last call: whenever a read became due, the next one in the
// queue took its place at that moment. Reads that are due stay at the front of begun_ until they
// are delivered; the last `running_` are not due yet.
void SimulatedDisk::advance(TimePoint now) {
  while (running_ > 0) {
    TimePoint due = begun_[begun_.size() - running_].due;
    if (due > now) return;
    --running_;
    if (auto next = queue_.pop()) begin(*next, due);
  }
}

void SimulatedDisk::submit(std::span<const BlockRead> reads) {
  TimePoint now = clock_.now();
  advance(now);
  outstanding_ += reads.size();
  for (const BlockRead& read : reads) queue_.push(read);
  while (running_ < depth() && !queue_.empty()) begin(*queue_.pop(), now);
}

void SimulatedDisk::promote(uint64_t tag) {
  advance(clock_.now());
  queue_.promote(tag);
}

void SimulatedDisk::take_real(bool wait) {
  real_done_.clear();
  real_->collect(&real_done_, wait);
  for (BlockReadDone& real : real_done_) {
    auto begun = std::find_if(begun_.begin(), begun_.end(), [&](const Begun& read) {
      return read.tag == real.tag && !read.status.has_value();
    });
    CHECK(begun != begun_.end());
    begun->status = std::move(real.status);
  }
}

// Hands over reads that are due and really done; returns how many. A read that is due but not done
// does not hold up those behind it.
size_t SimulatedDisk::deliver(TimePoint now, std::vector<BlockReadDone>* done) {
  auto ready = [now](const Begun& read) { return read.due <= now && read.status.has_value(); };
  size_t count = 0;
  for (Begun& read : begun_) {
    if (!ready(read)) continue;
    done->push_back({read.tag, std::move(*read.status), read.due - read.start});
    ++count;
  }
  std::erase_if(begun_, ready);
  outstanding_ -= count;
  return count;
}

void SimulatedDisk::wait_until(TimePoint due) {
  if (wait_) return wait_(due);
  std::unique_lock lock(mutex_);
  for (TimePoint now = clock_.now(); now < due; now = clock_.now()) {
    never_notified_.wait_for(lock, due - now);
  }
}

void SimulatedDisk::collect(std::vector<BlockReadDone>* done, bool wait) {
  while (outstanding_ > 0) {
    TimePoint now = clock_.now();
    advance(now);
    take_real(false);
    if (deliver(now, done) > 0 || !wait) return;
    // Nothing is ready: wait for whichever is later, the real read or the simulated time.
    bool late = begun_.front().due <= now;  // the real disk is slower than the simulated one
    if (late) {
      take_real(true);
    } else {
      wait_until(begun_.front().due);
    }
  }
}

}  // namespace potluck
