// HealthAccount: tells one coordinator how much of its speed this worker lends. Owned by
// PoolSession. One thread.
#pragma once

#include <optional>

#include "worker/coordinator_link.h"

namespace potluck {

class HealthAccount {
 public:
  // Changes are told so often at most.
  static constexpr Duration kInterval = std::chrono::seconds(1);

  explicit HealthAccount(CoordinatorLink& link) : link_(link) {}

  // Its epoch is filled in when it is told.
  void set(const HealthReport& health) {
    changed_ = changed_ || health != health_;
    health_ = health;
  }
  // The coordinator may have forgotten what it was told. It takes a worker that says nothing for
  // one in full health.
  void tell_again() { changed_ = health_ != HealthReport{}; }

  // `epoch`: that of the membership; none: nothing is told meanwhile.
  void report(std::optional<uint64_t> epoch) {
    if (!epoch || !changed_ || link_.now() < *next_tick()) return;
    changed_ = false;
    told_at_ = link_.now();
    HealthReport report = health_;
    report.epoch = *epoch;
    link_.send(std::move(report));
  }
  // When report() has something to tell.
  std::optional<TimePoint> next_tick() const {
    if (!changed_) return std::nullopt;
    return told_at_ ? *told_at_ + kInterval : TimePoint{0};
  }

 private:
  CoordinatorLink& link_;
  HealthReport health_;
  bool changed_ = false;
  std::optional<TimePoint> told_at_;
};

}  // namespace potluck
