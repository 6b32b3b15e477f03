// PartWindow: what one sender was asked for and has not sent yet, and how much more it may be asked
// for. Bytes under way are bounded by what the link to it carries in about a second, as measured:
// so queues on the way stay short, and little is lost with a connection. Only bytes that were asked
// for and arrive count as progress. Pure arithmetic; one thread.
#pragma once

#include <vector>

#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/limits.h"
#include "engine/base/result.h"

namespace potluck {

class PartWindow {
 public:
  // Before anything is known of the link; and never less, however slow it is.
  static constexpr uint64_t kFirstCredit = 64 * kKiB;
  static constexpr uint64_t kMostCredit = limits::kBulkPartsAsked * limits::kBulkPartBytes;
  static constexpr uint64_t kLeastPart = 8 * kKiB;
  // Nothing for so long: what was asked for is lost. More on a slow link, and twice as much after
  // every loss in a row.
  static constexpr Duration kLeastPatience = std::chrono::seconds(5);
  static constexpr Duration kMostPatience = std::chrono::seconds(60);

  // How many bytes the next request may ask for; 0 while enough is under way.
  uint32_t room() const;
  // Replaces earlier requests for the same or later bytes of the same whole, as it does at the
  // sender.
  void asked(const Digest& digest, uint64_t offset, uint32_t length, TimePoint now);
  // Bytes from the beginning of a range that was asked for; false for any others.
  bool arrived(const Digest& digest, uint64_t offset, uint64_t bytes, TimePoint now);
  // No more will come of this.
  void give_up(const Digest& digest);
  // All that was asked for is lost: the connection is a new one, or the time is over.
  void reset();
  void timed_out();
  // We did not listen until now.
  void excuse_silence(TimePoint now) { progress_at_ = now; }

  bool idle() const { return asked_.empty(); }
  bool awaits(const Digest& digest) const;
  uint64_t under_way() const { return under_way_; }
  TimePoint overdue_at() const;                      // TimePoint::max() when idle
  double bytes_per_second() const { return rate_; }  // 0: not known yet
  // Whether what is under way is counted and within its bounds; for tests.
  Status validate() const;

 private:
  struct Asked {
    Digest digest;
    uint64_t offset = 0;
    uint64_t length = 0;
    TimePoint at{0};
  };

  uint64_t credit() const;
  void measure(uint64_t bytes, TimePoint now);

  std::vector<Asked> asked_;
  uint64_t under_way_ = 0;
  TimePoint progress_at_{0};  // or when the first of them was asked for
  uint32_t losses_ = 0;       // in a row

  double rate_ = 0;
  Duration latency_ = Duration::max();  // the least between a request and its answer
  TimePoint measured_at_{0};            // until then the time below is counted
  Duration measured_time_{0};           // while something was under way
  uint64_t measured_bytes_ = 0;
};

}  // namespace potluck
