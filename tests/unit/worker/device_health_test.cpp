// What a device knows about its condition, from the files of made-up systems.
#include "worker/device_health.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/support/sample_files.h"

namespace potluck::test {
namespace {

constexpr const char* kOwnersFile = "/home/u/health.json";

class DeviceHealthTest : public testing::Test {
 protected:
  void supply(const std::string& name, const std::string& type,
              const std::map<std::string, std::string>& entries) {
    const std::string folder = "/sys/class/power_supply/" + name + "/";
    files.files[folder + "type"] = type + "\n";
    for (const auto& [entry, content] : entries) files.files[folder + entry] = content + "\n";
  }
  void zone(const std::string& number, const std::string& type, const std::string& thousandths) {
    const std::string folder = "/sys/class/thermal/thermal_zone" + number + "/";
    files.files[folder + "type"] = type + "\n";
    files.files[folder + "temp"] = thousandths + "\n";
  }
  DeviceHealth read() { return read_health(files, ""); }
  DeviceHealth read_with(const std::string& said) {
    files.files[kOwnersFile] = said;
    return read_health(files, kOwnersFile);
  }

  SampleFiles files;
};

TEST_F(DeviceHealthTest, WhatIsNotThereIsNotKnown) {
  EXPECT_EQ(read(), DeviceHealth{});
  EXPECT_EQ(read_health(files, kOwnersFile), DeviceHealth{});
}

TEST_F(DeviceHealthTest, ALaptopOnBattery) {
  supply("AC", "Mains", {{"online", "0"}});
  supply("BAT0", "Battery", {{"capacity", "40"}, {"status", "Discharging"}, {"temp", "351"}});
  supply("BAT1", "Battery", {{"capacity", "20"}, {"status", "Unknown"}, {"temp", "302"}});
  supply("hidpp_battery_0", "Battery",
         {{"scope", "Device"}, {"capacity", "3"}, {"status", "Discharging"}});
  const DeviceHealth health = read();
  EXPECT_EQ(health.battery_percent, 30);
  EXPECT_TRUE(health.on_battery);
  EXPECT_EQ(health.battery_celsius, 35);
}

TEST_F(DeviceHealthTest, APluggedInDeviceIsNotOnBattery) {
  supply("ac", "Mains", {{"online", "1"}});
  supply("battery", "Battery", {{"capacity", "12"}, {"status", "Charging"}});
  EXPECT_FALSE(read().on_battery);
  EXPECT_EQ(read().battery_percent, 12);
  // A charger that gives less than the device takes.
  supply("battery", "Battery", {{"capacity", "12"}, {"status", "Discharging"}});
  EXPECT_FALSE(read().on_battery);
}

TEST_F(DeviceHealthTest, TheWarmestProcessorCounts) {
  zone("0", "acpitz", "27800");
  zone("1", "x86_pkg_temp", "81000");
  zone("2", "iwlwifi_1", "99000");  // not a processor
  zone("3", "cpu-1-2", "127000");   // not wired
  zone("4", "soc_thermal", "-273000");
  zone("5", "cpu", "warm");
  EXPECT_EQ(read().celsius, 81);
}

TEST_F(DeviceHealthTest, StallsForMemory) {
  files.files["/proc/pressure/memory"] =
      "some avg10=12.50 avg60=3.00 avg300=1.00 total=5\nfull avg10=1.00 avg60=0 total=1\n";
  EXPECT_EQ(read().memory_stall, 12.5);
  files.files["/proc/pressure/memory"] = "some avg10=nan avg60=0.00";
  EXPECT_EQ(read().memory_stall, std::nullopt);
}

TEST_F(DeviceHealthTest, TheOwnersFileCountsBeforeTheSystem) {
  supply("battery", "Battery", {{"capacity", "90"}, {"status", "Charging"}});
  // As termux-battery-status prints it.
  const DeviceHealth health = read_with(
      R"({"health": "GOOD", "percentage": 22, "plugged": "UNPLUGGED",
          "status": "DISCHARGING", "temperature": 41.5, "current": -412000,
          "celsius": 77, "metered": true})");
  EXPECT_EQ(health.battery_percent, 22);
  EXPECT_TRUE(health.on_battery);
  EXPECT_EQ(health.battery_celsius, 42);
  EXPECT_EQ(health.celsius, 77);
  EXPECT_TRUE(health.metered);
  EXPECT_FALSE(read_with(R"({"status": "FULL", "plugged": "PLUGGED_AC"})").on_battery);
}

TEST_F(DeviceHealthTest, NonsenseSaysNothing) {
  for (const char* said :
       {"", "{", "[1]", "7", R"({"percentage": 101})", R"({"percentage": -1})",
        R"({"percentage": "9"})", R"({"percentage": 1e300, "temperature": 1e300})",
        R"({"temperature": -300, "celsius": 500, "metered": "yes"})"}) {
    EXPECT_EQ(read_with(said), DeviceHealth{}) << said;
  }
}

// Whatever the files say, what is read is within its range.
TEST_F(DeviceHealthTest, RandomFilesGiveSensibleReadings) {
  const CounterRandom random(4);
  const char* pieces[] = {"-1",
                          "100",
                          "Battery",
                          "cpu",
                          "999999999999",
                          "\n",
                          "",
                          "Discharging",
                          "{\"percentage\": ",
                          "50",
                          "}",
                          "some avg10=",
                          "1e9",
                          "35.5"};
  for (uint64_t round = 0; round < 2000; ++round) {
    auto text = [&](uint64_t salt) {
      std::string made;
      for (uint64_t i = 0; i < random.bits(round, salt) % 4; ++i) {
        made += pieces[random.bits(round, salt * 10 + i) % std::size(pieces)];
      }
      return made;
    };
    supply("a", text(1), {{"capacity", text(2)}, {"status", text(3)}, {"temp", text(4)}});
    zone("0", text(5), text(6));
    files.files["/proc/pressure/memory"] = text(7);
    const DeviceHealth health = read_with(text(8));
    EXPECT_LE(health.battery_percent.value_or(0), 100);
    EXPECT_LE(std::abs(health.celsius.value_or(0)), 125);
    EXPECT_LE(std::abs(health.battery_celsius.value_or(0)), 125);
    EXPECT_LE(health.memory_stall.value_or(0), 100);
  }
}

}  // namespace
}  // namespace potluck::test
