// NoticeLimiter: the one place through which lines for people go, so that others cannot fill a
// terminal or a log: so many of a kind, so many in all, and a count of what was left out. A kind is
// what a line begins with, names and numbers aside. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/clock.h"

namespace potluck {

class NoticeLimiter {
 public:
  // At once, and then one more per interval.
  static constexpr uint32_t kOfAKind = 20;
  static constexpr Duration kKindInterval = std::chrono::seconds(1);
  static constexpr uint32_t kInAll = 100;
  static constexpr Duration kAllInterval = std::chrono::milliseconds(100);
  // How often a count of what was left out is printed.
  static constexpr Duration kSummaryInterval = std::chrono::seconds(10);

  explicit NoticeLimiter(const Clock& clock) : clock_(clock) {}

  // Whether this line may be printed.
  bool admit(const std::string& text);
  // Lines that say what was left out since the last of them; mostly none.
  std::vector<std::string> take_summaries();

 private:
  struct Allowance {
    uint32_t left = 0;
    TimePoint refilled_at{0};

    bool take(uint32_t most, Duration interval, TimePoint now);
  };
  struct Kind {
    Allowance allowance;
    uint64_t left_out = 0;
  };

  Kind& kind_of(const std::string& text);

  const Clock& clock_;
  Allowance all_{kInAll, {}};
  std::map<std::string, Kind> kinds_;
  TimePoint summed_up_at_{0};
};

}  // namespace potluck
