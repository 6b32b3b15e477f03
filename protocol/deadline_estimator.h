// DeadlineEstimator: what a peer's calls cost, by their size, learned from its answers, and how
// long a call may take before another worker is asked as well. Pure; owns no clock. One thread.
//
// A call of n rows costs something per call (a round trip, reading experts) and something per row
// (multiplying). Both follow from what calls of different sizes took: for each power of two of rows
// there is one time, and each of them bounds a call of any other size from above: a smaller call
// takes no longer, a call of k times the rows no longer than k times. The least of these bounds is
// the estimate. A line fitted through the same points could swing without bound when one of them
// moves; here one answer moves the estimate by at most kLargestStep, for every size.
//
// The estimate is near the slowest answers: right for a deadline after which an expensive way is
// taken. Where another worker can answer as well, the question is what is usual, and that are
// quantiles of the recent answers of that size.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "engine/base/clock.h"
#include "protocol/latency_quantiles.h"

namespace potluck {

class DeadlineEstimator {
 public:
  // One answer changes an estimate at most by this factor.
  static constexpr int64_t kLargestStep = 4;
  // No deadline is shorter: a call that met a cold disk, a thread that was scheduled late or a
  // phone's radio that slept is no reason to ask another worker.
  static constexpr Duration kFloor = std::chrono::milliseconds(100);
  // No deadline is longer, no matter how slow the peer's answers were: a peer cannot teach us to
  // wait for it. Separate caps for the call itself (a cold expert on a slow disk) and for each row.
  static constexpr Duration kCallCap = std::chrono::seconds(10);
  static constexpr Duration kRowCap = std::chrono::milliseconds(250);
  static constexpr Duration kCap = std::chrono::seconds(20);

  // A call of so many rows was answered after `took`, without the time it waited for earlier ones.
  // `cold`: a disk had to be read for it.
  void record(Duration took, uint32_t rows, bool cold = false);

  // A first call that is done in a second or two even by a slow phone.
  static constexpr uint32_t kFirstRows = 32;

  bool knows_nothing() const { return count_ == 0; }
  // What a call of so many rows is likely to take; nothing as long as nothing is known.
  std::optional<Duration> estimate(uint32_t rows) const;
  // After how long to ask another worker as well, if `backlog` is the estimate of what the peer was
  // asked before and has not answered yet. Between kFloor and kCap, and never less for more rows.
  Duration deadline(uint32_t rows, Duration backlog = Duration::zero()) const;
  // Such that a share `q` of the peer's recent calls of about so many rows took no longer. What a
  // disk delayed counts only while it is no exception (more than the share 1 - q), and the first
  // answers, to which connections and caches are new, never. Nothing while too little is known.
  std::optional<Duration> usual(double q, uint32_t rows) const;
  // How many rows a call should have so that its rows take about `target`; at least 1. Grows in
  // steps: at most four times what was ever asked.
  uint32_t rows_for(Duration target) const;

 private:
  struct Size {
    uint32_t count = 0;  // answers, up to kSlowest
    Duration took{0};    // near the slowest of the recent ones
    uint32_t rows = 0;   // of the last of them
    LatencyQuantiles warm;
    LatencyQuantiles cold;
  };

  static constexpr uint32_t kSlowest = 16;  // answers after which a slow one is forgotten
  static size_t size_of(uint32_t rows);
  static Duration cap(uint32_t rows);
  static Duration first_deadline(uint32_t rows);
  void record_usual(Duration took, Size* size, bool cold);

  std::array<Size, 16> sizes_{};  // by the logarithm of rows
  uint32_t count_ = 0;            // answers, up to what is enough
  double cold_share_ = 0;         // of the recent answers
};

}  // namespace potluck
