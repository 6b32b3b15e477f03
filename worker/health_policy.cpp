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

// Of what is to pause above the limit, and not some degrees later.
uint8_t share_below(int32_t celsius, int32_t limit) {
  if (celsius > limit) return 0;
  if (celsius >= limit - 1) return kQuarter;
  return celsius > limit - kWarm ? kHalf : 100;
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
  lower_by_battery(health, &verdict);
  lower_by_heat(health, &verdict);
  if (const double stall = health.memory_stall.value_or(0); stall >= kSomeStalls) {
    lower(stall >= kManyStalls ? kQuarter : kHalf, "its memory is short", &verdict);
  }
  return verdict;
}

void HealthPolicy::lower_by_battery(const DeviceHealth& health, HealthVerdict* verdict) const {
  if (!health.on_battery) return;
  if (limits_.only_when_charging) lower(0, "it is not being charged", verdict);
  if (!health.battery_percent) return;
  const uint8_t percent = *health.battery_percent;
  std::string reason = fmt::format("its battery is at {} %", percent);
  if (percent < limits_.battery_floor) {
    lower(0, std::move(reason), verdict);
  } else if (percent < limits_.battery_floor + kBatteryMargin) {
    lower(kHalf, std::move(reason), verdict);
  }
}

void HealthPolicy::lower_by_heat(const DeviceHealth& health, HealthVerdict* verdict) const {
  if (health.celsius) {
    const bool named = limits_.names_pause_above && !health.battery_celsius;
    const uint8_t by_pause = named ? share_below(*health.celsius, limits_.pause_above) : 100;
    lower(std::min(by_pause, share_at(*health.celsius, limits_.max_celsius)),
          fmt::format("its processor has {} C", *health.celsius), verdict);
  }
  if (health.battery_celsius) {
    lower(share_below(*health.battery_celsius, limits_.pause_above),
          fmt::format("its battery has {} C", *health.battery_celsius), verdict);
  }
}

// 0: they are not near, or there already.
uint32_t HealthPolicy::seconds_until_quiet(uint32_t minute) const {
  constexpr uint32_t kDay = 24 * 60;
  if (!limits_.quiet || limits_.quiet->contains(minute)) return 0;
  const uint32_t minutes = (limits_.quiet->begin + kDay - minute) % kDay;
  return minutes <= kQuietNotice ? minutes * 60 : 0;
}

// Whether a pause is still to come. `present` is then as it is until the pause: what it was before,
// at a quarter of the speed if heat is the reason.
bool HealthPolicy::announces(HealthVerdict* present, uint32_t minute, bool hot, TimePoint now) {
  const uint32_t quiet = present->share == 0 ? 0 : seconds_until_quiet(minute);
  const bool was_there = judged_ && verdict_.share == 0;
  if (!judged_ || was_there || (present->share > 0 && quiet == 0)) {
    pause_at_.reset();
    return false;
  }
  const TimePoint latest = now + (quiet > 0 ? Duration(std::chrono::seconds(quiet)) : kNotice);
  pause_at_ = pause_at_ ? std::min(*pause_at_, latest) : latest;
  if (present->share == 0 && now >= *pause_at_) {
    pause_at_.reset();
    return false;
  }
  const auto left = std::chrono::ceil<std::chrono::seconds>(*pause_at_ - now).count();
  present->pause_seconds = static_cast<uint32_t>(std::max<int64_t>(1, left));
  if (present->share == 0) {
    present->share = std::min(verdict_.share, hot ? kQuarter : verdict_.share);
  } else {
    *present = {std::min(present->share, verdict_.share), "quiet hours are near",
                present->pause_seconds};
  }
  return true;
}

const HealthVerdict& HealthPolicy::judge(const DeviceHealth& health, uint32_t minute,
                                         TimePoint now) {
  HealthVerdict present = at_present(health, minute);
  HealthVerdict by_heat;
  lower_by_heat(health, &by_heat);
  const bool announced = announces(&present, minute, by_heat.share == 0, now);
  const bool first = !std::exchange(judged_, true);
  if (first || announced || present.share <= verdict_.share) {
    verdict_ = std::move(present);
    better_since_.reset();
    return verdict_;
  }
  verdict_.pause_seconds = 0;
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
