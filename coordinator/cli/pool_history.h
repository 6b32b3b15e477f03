// PoolHistory: what changed between reports of a pool: tokens per second, and where the time went,
// as the dashboard has it (web/history.js). Plain values; one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace potluck {

// The counters of one report; times in nanoseconds, summed over all steps.
struct PoolSample {
  double at = 0;  // seconds on the coordinator's clock
  uint64_t answer_tokens = 0;
  bool busy = false;  // a request is being answered
  uint64_t layer_wait = 0;
  uint64_t layer_local = 0;
  uint64_t compute = 0;
  uint64_t disk = 0;
  uint64_t slowest_compute = 0;
};

// Parts of the time that answers take; together 1.
struct TimeShares {
  double coordinator = 0;  // attention and router
  double network = 0;
  double disks = 0;
  double experts = 0;
};

class PoolHistory {
 public:
  // A report that was added already is passed over; one of a coordinator that has started anew
  // begins the history again.
  void add(const PoolSample& sample);

  double tokens_per_second() const { return rate_; }
  // Of the last seconds in which anything was done; nothing where nothing was.
  std::optional<TimeShares> shares() const;

 private:
  // One second has few tokens of a slow pool: rates are taken over some.
  static constexpr size_t kSmoothed = 4;
  static constexpr size_t kKept = 30;

  std::deque<PoolSample> samples_;  // the last kSmoothed + 1
  std::deque<TimeShares> parts_;    // of a second each
  double rate_ = 0;
};

}  // namespace potluck
