// HealthPolicy: how much of its speed a device lends, given its condition and what its owner
// allows. Gentle on the device: less at once, more only after things have been better for a while,
// so that a device at the border does not swing. Gentle on the pool: a pause is said before it
// comes, so that others can take over what the device holds. Pure; owns no clock. One thread.
//
//   lends --"nothing any more"--> lends, a pause is announced --kNotice--> lends nothing
//     ^                              |                                        |
//     +------------ better ----------+<------------- better for kRecovery ----+
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "worker/device_health.h"

namespace potluck {

// Minutes of the day, local time: from `begin` until before `end`, over midnight if that is
// earlier.
struct QuietHours {
  uint32_t begin = 0;
  uint32_t end = 0;

  bool contains(uint32_t minute) const {
    if (begin <= end) return minute >= begin && minute < end;
    return minute >= begin || minute < end;
  }
  bool operator==(const QuietHours&) const = default;
};

// What the owner allows.
struct HealthLimits {
  uint8_t max_cpu = 100;            // percent of the processor's time
  uint8_t battery_floor = 30;       // percent: below, on battery, no work
  bool only_when_charging = false;  // no work on battery, however full
  int32_t max_celsius = 85;         // of the processor: above, little work
  // Of the battery, since heat is what ages it: above, no work. Where the owner has named it and
  // the battery has no thermometer, it holds for the processor.
  int32_t pause_above = 45;
  bool names_pause_above = false;
  std::optional<QuietHours> quiet{};  // no work in these hours
  bool use_metered = false;           // work also where the network is paid for by the byte
};

struct HealthVerdict {
  uint8_t share = 100;  // percent of the speed it could have; 0: give the work to others
  std::string reason;   // for people; empty at 100
  // In so many seconds the share will be 0, for the reason; 0: no pause is coming, or it is there.
  uint32_t pause_seconds = 0;

  bool operator==(const HealthVerdict&) const = default;
};

class HealthPolicy {
 public:
  // A device that was judged worse gets more again after so long a time in which it was better.
  static constexpr Duration kRecovery = std::chrono::minutes(1);
  // So long before it pauses it says so. A battery loses less than a percent meanwhile; what is hot
  // works at a quarter of its speed by then.
  static constexpr Duration kNotice = std::chrono::seconds(20);
  // Quiet hours are known beforehand: there is time to move many gigabytes.
  static constexpr uint32_t kQuietNotice = 5;  // minutes

  explicit HealthPolicy(const HealthLimits& limits) : limits_(limits) {}

  // `minute`: of the day, local time.
  const HealthVerdict& judge(const DeviceHealth& health, uint32_t minute, TimePoint now);

 private:
  HealthVerdict at_present(const DeviceHealth& health, uint32_t minute) const;
  void lower_by_battery(const DeviceHealth& health, HealthVerdict* verdict) const;
  void lower_by_heat(const DeviceHealth& health, HealthVerdict* verdict) const;
  uint32_t seconds_until_quiet(uint32_t minute) const;
  bool announces(HealthVerdict* present, uint32_t minute, bool hot, TimePoint now);

  HealthLimits limits_;
  HealthVerdict verdict_;
  bool judged_ = false;
  std::optional<TimePoint> better_since_;
  HealthVerdict worst_since_;          // while it is better
  std::optional<TimePoint> pause_at_;  // while one is announced
};

}  // namespace potluck
