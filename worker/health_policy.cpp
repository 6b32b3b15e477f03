#include "worker/health_policy.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

// Between "enough" and "too little" there are steps: a device that is warm slows down before it is
// hot, and the pool sees it coming.
constexpr uint8_t kHalf = 50;
constexpr uint8_t kQuarter = 25;
constexpr int32_t kWarm = 5;    // degrees below the limit
constexpr int32_t kTooHot = 5;  // degrees above it
constexpr uint8_t kBatteryMargin = 10;
constexpr double kSomeStalls = 20;  // percent of the time
constexpr double kManyStalls = 50;

uint8_t share_at(int32_t celsius, int32_t limit) {
  if (celsius >= limit + kTooHot) return 0;
  if (celsius >= limit) return kQuarter;
  return celsius >= limit - kWarm ? kHalf : 100;
}

void lower(uint8_t share, std::string reason, HealthVerdict* verdict) {
  if (share < verdict->share) *verdict = {share, std::move(reason)};
}

}  // namespace

HealthVerdict HealthPolicy::at_present(const DeviceHealth& health, uint32_t minute) const {
  HealthVerdict verdict;
  lower(limits_.max_cpu, fmt::format("its owner allows {} %", limits_.max_cpu), &verdict);
  if (limits_.quiet && limits_.quiet->contains(minute)) lower(0, "quiet hours", &verdict);
  if (health.metered && !limits_.use_metered) lower(0, "its network is metered", &verdict);
  if (health.battery_percent && health.on_battery) {
    const uint8_t percent = *health.battery_percent;
    std::string reason = fmt::format("its battery is at {} %", percent);
    if (percent < limits_.min_battery) {
      lower(0, std::move(reason), &verdict);
    } else if (percent < limits_.min_battery + kBatteryMargin) {
      lower(kHalf, std::move(reason), &verdict);
    }
  }
  if (health.celsius) {
    lower(share_at(*health.celsius, limits_.max_celsius),
          fmt::format("its processor has {} C", *health.celsius), &verdict);
  }
  if (health.battery_celsius) {
    lower(share_at(*health.battery_celsius, limits_.max_battery_celsius),
          fmt::format("its battery has {} C", *health.battery_celsius), &verdict);
  }
  if (const double stall = health.memory_stall.value_or(0); stall >= kSomeStalls) {
    lower(stall >= kManyStalls ? kQuarter : kHalf, "its memory is short", &verdict);
  }
  return verdict;
}

const HealthVerdict& HealthPolicy::judge(const DeviceHealth& health, uint32_t minute,
                                         TimePoint now) {
  HealthVerdict present = at_present(health, minute);
  if (!std::exchange(judged_, true) || present.share <= verdict_.share) {
    verdict_ = std::move(present);
    better_since_.reset();
    return verdict_;
  }
  if (!better_since_) {
    better_since_ = now;
    worst_since_ = present;
  } else if (present.share <= worst_since_.share) {
    worst_since_ = std::move(present);
  }
  if (now - *better_since_ >= kRecovery) {
    verdict_ = worst_since_;
    better_since_.reset();
  }
  return verdict_;
}

}  // namespace potluck
