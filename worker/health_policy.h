// HealthPolicy: how much of its speed a device lends, given its condition and what its owner
// allows. Gentle on the device: less at once, more only after things have been better for a while,
// so that a device at the border does not swing. Pure; owns no clock. One thread.
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
  uint8_t max_cpu = 100;              // percent of the processor's time
  uint8_t min_battery = 30;           // percent: below, on battery, no work
  int32_t max_celsius = 85;           // of the processor: above, little work
  int32_t max_battery_celsius = 43;   // of the battery; heat is what ages it
  std::optional<QuietHours> quiet{};  // no work in these hours
  bool use_metered = false;           // work also where the network is paid for by the byte
};

struct HealthVerdict {
  uint8_t share = 100;  // percent of the speed it could have; 0: give the work to others
  std::string reason;   // for people; empty at 100

  bool operator==(const HealthVerdict&) const = default;
};

class HealthPolicy {
 public:
  // A device that was judged worse gets more again after so long a time in which it was better.
  static constexpr Duration kRecovery = std::chrono::minutes(1);

  explicit HealthPolicy(const HealthLimits& limits) : limits_(limits) {}

  // `minute`: of the day, local time.
  const HealthVerdict& judge(const DeviceHealth& health, uint32_t minute, TimePoint now);

 private:
  HealthVerdict at_present(const DeviceHealth& health, uint32_t minute) const;

  HealthLimits limits_;
  HealthVerdict verdict_;
  bool judged_ = false;
  std::optional<TimePoint> better_since_;
  HealthVerdict worst_since_;  // while it is better
};

}  // namespace potluck
