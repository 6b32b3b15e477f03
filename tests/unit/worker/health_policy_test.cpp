// How much of its speed a device lends, and when it lends more or less.
#include "worker/health_policy.h"

#include <gtest/gtest.h>

namespace potluck::test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Test;

constexpr uint32_t kNoon = 12 * 60;

uint8_t share_of(const DeviceHealth& health, const HealthLimits& limits = {},
                 uint32_t minute = kNoon) {
  return HealthPolicy(limits).judge(health, minute, seconds(1)).share;
}

DeviceHealth battery(uint8_t percent, bool on_battery = true) {
  DeviceHealth health;
  health.battery_percent = percent;
  health.on_battery = on_battery;
  return health;
}

DeviceHealth warm(int32_t celsius) {
  DeviceHealth health;
  health.celsius = celsius;
  return health;
}

TEST(HealthPolicy, ADeviceOfWhichNothingIsKnownLendsAll) {
  HealthPolicy policy({});
  EXPECT_EQ(policy.judge({}, kNoon, seconds(1)), HealthVerdict{});
}

TEST(HealthPolicy, ALowBatteryLendsNothingUnlessItIsCharged) {
  EXPECT_EQ(share_of(battery(29)), 0);
  EXPECT_EQ(share_of(battery(35)), 50);
  EXPECT_EQ(share_of(battery(40)), 100);
  EXPECT_EQ(share_of(battery(1, false)), 100);
  HealthLimits brave;
  brave.min_battery = 0;
  EXPECT_EQ(share_of(battery(10), brave), 100);
  EXPECT_EQ(share_of(battery(0), brave), 50);
}

TEST(HealthPolicy, HeatTakesSpeedAwayInSteps) {
  EXPECT_EQ(share_of(warm(79)), 100);
  EXPECT_EQ(share_of(warm(80)), 50);
  EXPECT_EQ(share_of(warm(85)), 25);
  EXPECT_EQ(share_of(warm(90)), 0);
  DeviceHealth health;
  health.battery_celsius = 43;
  EXPECT_EQ(share_of(health), 25);
}

TEST(HealthPolicy, TheWorstReasonIsNamed) {
  DeviceHealth health = battery(32);
  health.celsius = 86;
  HealthLimits limits;
  limits.max_cpu = 60;
  HealthPolicy policy(limits);
  const HealthVerdict verdict = policy.judge(health, kNoon, seconds(1));
  EXPECT_EQ(verdict, (HealthVerdict{25, "its processor has 86 C"}));
}

TEST(HealthPolicy, QuietHoursMayGoOverMidnight) {
  HealthLimits limits;
  limits.quiet = QuietHours{22 * 60, 7 * 60};
  EXPECT_EQ(share_of({}, limits, 23 * 60), 0);
  EXPECT_EQ(share_of({}, limits, 0), 0);
  EXPECT_EQ(share_of({}, limits, 7 * 60 - 1), 0);
  EXPECT_EQ(share_of({}, limits, 7 * 60), 100);
  EXPECT_EQ(share_of({}, limits, 22 * 60 - 1), 100);
}

TEST(HealthPolicy, MeteredNetworksAndScarceMemory) {
  DeviceHealth health;
  health.metered = true;
  EXPECT_EQ(share_of(health), 0);
  HealthLimits limits;
  limits.use_metered = true;
  EXPECT_EQ(share_of(health, limits), 100);
  health = {};
  health.memory_stall = 19;
  EXPECT_EQ(share_of(health), 100);
  health.memory_stall = 20;
  EXPECT_EQ(share_of(health), 50);
  health.memory_stall = 50;
  EXPECT_EQ(share_of(health), 25);
}

TEST(HealthPolicy, WorseHoldsAtOnceAndBetterAfterAWhile) {
  HealthPolicy policy({});
  TimePoint now = seconds(1);
  auto after = [&](Duration time, int32_t celsius) {
    now += time;
    return policy.judge(warm(celsius), kNoon, now).share;
  };
  EXPECT_EQ(after(seconds(0), 60), 100);
  EXPECT_EQ(after(seconds(5), 86), 25);
  EXPECT_EQ(after(seconds(5), 60), 25);
  EXPECT_EQ(after(seconds(50), 60), 25);
  EXPECT_EQ(after(seconds(5), 91), 0);  // and the time begins anew
  EXPECT_EQ(after(seconds(5), 81), 0);
  EXPECT_EQ(after(seconds(30), 60), 0);
  EXPECT_EQ(after(seconds(30), 60), 50);  // the worst of the minute in which it was better
  EXPECT_EQ(after(seconds(5), 60), 50);
  EXPECT_EQ(after(minutes(1), 60), 100);
}

// A device that swings around a limit every few seconds keeps the lower share.
TEST(HealthPolicy, ADeviceAtTheBorderDoesNotSwing) {
  HealthPolicy policy({});
  for (int i = 0; i < 100; ++i) {
    const uint8_t share = policy.judge(warm(i % 2 == 0 ? 85 : 84), kNoon, seconds(5 * i)).share;
    EXPECT_EQ(share, 25) << i;
  }
}

}  // namespace
}  // namespace potluck::test
