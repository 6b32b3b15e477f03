// What the devices of a pool take together, in reports and in words.
#include "coordinator/cli/pool_power.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace potluck {
namespace {

std::vector<DeviceView> devices_that_take(std::initializer_list<uint32_t> milliwatts) {
  std::vector<DeviceView> devices;
  for (const uint32_t one : milliwatts) {
    devices.emplace_back().record.health.use.milliwatts = one;
  }
  return devices;
}

TEST(PoolPower, OfDevicesThatTell) {
  EXPECT_FALSE(pool_power({}, 5));
  EXPECT_FALSE(pool_power(devices_that_take({0, 0}), 5));
  const auto power = pool_power(devices_that_take({1500, 0, 6000}), 5);
  ASSERT_TRUE(power);
  EXPECT_EQ(power->watts, 7.5);
  EXPECT_EQ(power->devices, 2U);
  EXPECT_EQ(power->joules_per_token, 1.5);
  EXPECT_EQ(power_words(power, 3), ", 2 of 3 devices take 7.5 W, 1.5 J a token");
}

TEST(PoolPower, NoTokenNoJoules) {
  const auto power = pool_power(devices_that_take({1500}), 0);
  ASSERT_TRUE(power);
  EXPECT_FALSE(power->joules_per_token);
  EXPECT_EQ(power_words(power, 1), ", 1 of 1 devices take 1.5 W");
  EXPECT_EQ(power_words(std::nullopt, 1), "");
}

TEST(PoolPower, ReportsReadBack) {
  EXPECT_TRUE(describe_power(std::nullopt).is_null());
  for (const double rate : {0.0, 4.0}) {
    const auto power = pool_power(devices_that_take({2000}), rate);
    const auto read = power_of_json(describe_power(power));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->watts, power->watts);
    EXPECT_EQ(read->devices, power->devices);
    EXPECT_EQ(read->joules_per_token, power->joules_per_token);
  }
  for (const char* text : {"null", "{}", "[]", R"({"watts": -3, "devices": 1})", R"({"watts": 3})",
                           R"({"watts": "x", "devices": 1})", R"({"watts": 3, "devices": -1})"}) {
    EXPECT_FALSE(power_of_json(nlohmann::json::parse(text))) << text;
  }
}

}  // namespace
}  // namespace potluck
