// ObservedSpeeds: what the coordinator sees of its workers' speed: how long answers take, in all
// and beyond the work that the worker reports. What a worker says of itself is no more than a
// beginning: a boast is corrected here. Bounded; owns no clock. One thread.
#pragma once

#include <array>
#include <map>
#include <optional>

#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "protocol/keys.h"

namespace potluck {

// The median of the last few values.
class RecentMedian {
 public:
  static constexpr size_t kKept = 15;

  void add(double value) {
    values_[next_ % kKept] = value;
    ++next_;
  }
  size_t count() const { return next_ < kKept ? next_ : kKept; }
  std::optional<double> value() const;

 private:
  std::array<double, kKept> values_{};
  size_t next_ = 0;
};

class ObservedSpeeds {
 public:
  // An answer to a message that was sent when the worker owed nothing else.
  struct Answer {
    uint32_t rows = 0;
    uint64_t weight_bytes = 0;  // that were applied to each row
    uint64_t wire_bytes = 0;    // both ways
    Duration took{0};
    Duration busy{0};      // as the worker reports it
    Duration computed{0};  // of that
  };
  // 0: not known yet. Seconds, and bytes per second.
  struct Seen {
    double round_trip = 0;
    double link_rate = 0;
    double rate = 0;
    double many_rate = 0;  // of answers to many rows
  };
  static constexpr size_t kWorkersKept = 4 * size_t{limits::kWorkers};

  void record(const PeerKey& worker, const Answer& answer);
  Seen of(const PeerKey& worker) const;

 private:
  // Small messages tell the round trip, large ones the link.
  static constexpr uint64_t kSmallBytes = 32 * kKiB;
  static constexpr uint64_t kLargeBytes = 256 * kKiB;
  static constexpr uint32_t kManyRows = 32;
  // Answers before anything is concluded, and after how many the older ones count half.
  static constexpr uint32_t kLeastAnswers = 32;
  static constexpr uint32_t kHalvedAfter = 1024;

  struct Worker {
    RecentMedian round_trips;
    RecentMedian link_rates;
    RecentMedian many_rates;
    // Of answers to one row.
    double answers = 0;
    double seconds = 0;
    double bytes = 0;
  };
  std::map<PeerKey, Worker> workers_;
};

}  // namespace potluck
