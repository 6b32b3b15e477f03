// SimulatedDisk: a BlockReader that delivers what another one reads as late as a disk of a given
// rate would: every byte is really read, the rest of the time is waited for. All reads share the
// rate, one after the other in the order in which a real disk would get them (demand first, at most
// `depth` begun). It works in the disk's own time: an owner that looks late finds as much done as
// if it had looked all along.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "engine/base/block_reader.h"
#include "engine/base/read_queue.h"
#include "engine/base/shared_rate.h"

namespace potluck {

class SimulatedDisk final : public BlockReader {
 public:
  // Lets time pass until then. Empty: the thread sleeps.
  using Wait = std::function<void(TimePoint until)>;

  // What a disk has beside its rate.
  struct Character {
    Duration per_request{0};         // that each request takes beyond its bytes
    const double* slower = nullptr;  // everything takes so many times as long at present
  };

  // `clock`, and what `character` names, must outlive the reader.
  SimulatedDisk(std::unique_ptr<BlockReader> real, uint64_t bytes_per_second, const Clock& clock,
                Wait wait, const Character& character);
  SimulatedDisk(std::unique_ptr<BlockReader> real, uint64_t bytes_per_second, const Clock& clock,
                Wait wait = {})
      : SimulatedDisk(std::move(real), bytes_per_second, clock, std::move(wait), Character()) {}

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override;
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return outstanding_; }
  uint32_t depth() const override { return real_->depth(); }
  std::string_view name() const override { return real_->name(); }

 private:
  // A read that was begun. The real one may be done before or after it is due.
  struct Begun {
    uint64_t tag = 0;
    TimePoint start{0};
    TimePoint due{0};
    std::optional<Status> status;  // of the real read, once it is done
  };

  void begin(const BlockRead& read, TimePoint start);
  void advance(TimePoint now);
  void take_real(bool wait);
  size_t deliver(TimePoint now, std::vector<BlockReadDone>* done);
  void wait_until(TimePoint due);

  std::unique_ptr<BlockReader> real_;
  const Clock& clock_;
  Wait wait_;
  SharedRate rate_;
  Character character_;
  size_t outstanding_ = 0;
  size_t running_ = 0;  // begun and not due yet, at the time of the last advance()
  ReadQueue queue_;
  std::deque<Begun> begun_;  // in the order in which they are due
  std::vector<BlockReadDone> real_done_;
  std::mutex mutex_;  // never contended: what a timed wait needs
  std::condition_variable never_notified_;
};

}  // namespace potluck
