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
  brave.battery_floor = 0;
  EXPECT_EQ(share_of(battery(10), brave), 100);
  EXPECT_EQ(share_of(battery(0), brave), 50);
}

TEST(HealthPolicy, HeatTakesSpeedAwayInSteps) {
  EXPECT_EQ(share_of(warm(79)), 100);
  EXPECT_EQ(share_of(warm(80)), 50);
  EXPECT_EQ(share_of(warm(85)), 25);
  EXPECT_EQ(share_of(warm(90)), 0);
}

TEST(HealthPolicy, ABatteryAboveItsLimitPausesAndWorksLessBelow) {
  DeviceHealth health;
  HealthLimits limits;
  limits.pause_above = 42;
  const std::vector<std::pair<int32_t, uint8_t>> expected = {
      {37, 100}, {38, 50}, {40, 50}, {41, 25}, {42, 25}, {43, 0}, {60, 0}};
  for (auto [celsius, share] : expected) {
    health.battery_celsius = celsius;
    EXPECT_EQ(share_of(health, limits), share) << celsius;
  }
  health.celsius = 80;  // of the processor: its own limit holds
  health.battery_celsius = 30;
  limits.names_pause_above = true;
  EXPECT_EQ(share_of(health, limits), 50);
  health.battery_celsius.reset();  // the only thermometer there is
  EXPECT_EQ(share_of(health, limits), 0);
  limits.names_pause_above = false;
  EXPECT_EQ(share_of(health, limits), 50);
}

TEST(HealthPolicy, OnlyWhenChargingMeansNoWorkOnBatteryHoweverFull) {
  HealthLimits limits;
  limits.only_when_charging = true;
  EXPECT_EQ(share_of(battery(100), limits), 0);
  EXPECT_EQ(share_of(battery(5, false), limits), 100);
  DeviceHealth unknown;  // it says no percentage
  unknown.on_battery = true;
  EXPECT_EQ(share_of(unknown, limits), 0);
  EXPECT_EQ(share_of({}, limits), 100);  // a device without a battery is always charged
}

class PauseTest : public Test {
 protected:
  HealthVerdict after(Duration time, const DeviceHealth& health, uint32_t minute = kNoon) {
    now_ += time;
    return policy_.judge(health, minute, now_);
  }
  static HealthLimits limits() {
    HealthLimits limits;
    limits.only_when_charging = true;
    limits.quiet = QuietHours{22 * 60, 7 * 60};
    return limits;
  }

  HealthPolicy policy_{limits()};
  TimePoint now_{seconds(1)};
};

TEST_F(PauseTest, APauseIsAnnouncedBeforeItComes) {
  const DeviceHealth charging = battery(80, false);
  const DeviceHealth unplugged = battery(80);
  EXPECT_EQ(after(seconds(0), charging), HealthVerdict{});
  EXPECT_EQ(after(seconds(5), unplugged), (HealthVerdict{100, "it is not being charged", 20}));
  EXPECT_EQ(after(seconds(5), unplugged), (HealthVerdict{100, "it is not being charged", 15}));
  EXPECT_EQ(after(seconds(14), unplugged).pause_seconds, 1u);
  EXPECT_EQ(after(seconds(1), unplugged), (HealthVerdict{0, "it is not being charged", 0}));
  EXPECT_EQ(after(seconds(5), unplugged), (HealthVerdict{0, "it is not being charged", 0}));
  EXPECT_EQ(after(seconds(5), charging).share, 0);  // not at once
  EXPECT_EQ(after(minutes(1), charging), HealthVerdict{});
}

TEST_F(PauseTest, APauseThatIsCalledOffNeverCame) {
  EXPECT_EQ(after(seconds(0), battery(80, false)), HealthVerdict{});
  EXPECT_EQ(after(seconds(5), battery(80)).pause_seconds, 20u);
  EXPECT_EQ(after(seconds(5), battery(80, false)), HealthVerdict{});
  EXPECT_EQ(after(seconds(5), battery(80)).pause_seconds, 20u);  // from the start
}

TEST_F(PauseTest, AtAStartThereIsNothingToAnnounce) {
  EXPECT_EQ(after(seconds(0), battery(80)), (HealthVerdict{0, "it is not being charged", 0}));
}

TEST_F(PauseTest, WhatIsHotWorksAQuarterUntilThePause) {
  EXPECT_EQ(after(seconds(0), warm(60)), HealthVerdict{});
  EXPECT_EQ(after(seconds(5), warm(95)), (HealthVerdict{25, "its processor has 95 C", 20}));
  EXPECT_EQ(after(seconds(20), warm(95)).share, 0);
}

TEST_F(PauseTest, QuietHoursAreAnnouncedMinutesBefore) {
  const DeviceHealth plain;
  EXPECT_EQ(after(seconds(0), plain, 21 * 60 + 54), HealthVerdict{});
  EXPECT_EQ(after(seconds(60), plain, 21 * 60 + 55),
            (HealthVerdict{100, "quiet hours are near", 300}));
  EXPECT_EQ(after(seconds(240), plain, 21 * 60 + 59).pause_seconds, 60u);
  EXPECT_EQ(after(seconds(60), plain, 22 * 60), (HealthVerdict{0, "quiet hours", 0}));
  EXPECT_EQ(after(minutes(9 * 60), plain, 7 * 60).share, 0);
  EXPECT_EQ(after(minutes(1), plain, 7 * 60 + 1), HealthVerdict{});
}

// Announced for later, and then something else comes sooner.
TEST_F(PauseTest, ThePauseThatComesFirstCounts) {
  EXPECT_EQ(after(seconds(0), battery(80, false), 21 * 60 + 50), HealthVerdict{});
  EXPECT_EQ(after(seconds(300), battery(80, false), 21 * 60 + 55).pause_seconds, 300u);
  EXPECT_EQ(after(seconds(30), battery(80), 21 * 60 + 55),
            (HealthVerdict{100, "it is not being charged", 20}));
  EXPECT_EQ(after(seconds(20), battery(80), 21 * 60 + 56).share, 0);
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
  EXPECT_EQ(after(seconds(5), 86), 25);  // and the time begins anew
  EXPECT_EQ(after(seconds(5), 81), 25);
  EXPECT_EQ(after(seconds(30), 60), 25);
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
