// How much power a device takes, by what systems say.
#include "worker/power_meter.h"

#include <gtest/gtest.h>

#include "tests/support/sample_files.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

class PowerMeterTest : public testing::Test {
 protected:
  void battery(const std::string& name, const std::string& status) {
    const std::string folder = "/sys/class/power_supply/" + name + "/";
    files_.files[folder + "type"] = "Battery\n";
    files_.files[folder + "status"] = status + "\n";
  }
  void set(const std::string& path, const std::string& value) {
    files_.files["/sys/class/" + path] = value + "\n";
  }

  SampleFiles files_;
  PowerMeter meter_{files_, "/health.json"};
};

TEST_F(PowerMeterTest, ADeviceThatSaysNothing) {
  EXPECT_EQ(meter_.look(seconds(1)), 0u);
  EXPECT_EQ(meter_.look(seconds(6)), 0u);
}

TEST_F(PowerMeterTest, CurrentTimesVoltageOfABatteryThatGivesPower) {
  battery("BAT0", "Discharging");
  set("power_supply/BAT0/current_now", "-500000");
  set("power_supply/BAT0/voltage_now", "4000000");
  EXPECT_EQ(meter_.look(seconds(1)), 2000u);
  battery("BAT1", "Discharging");
  set("power_supply/BAT1/power_now", "6000000");
  EXPECT_EQ(meter_.look(seconds(6)), 3500u);  // a quarter of the way to 8 W
}

TEST_F(PowerMeterTest, ABatteryThatIsChargedSaysNothingOfTheDevice) {
  battery("BAT0", "Charging");
  set("power_supply/BAT0/power_now", "20000000");
  EXPECT_EQ(meter_.look(seconds(1)), 0u);
}

TEST_F(PowerMeterTest, CountersOfEnergyOverTime) {
  set("powercap/intel-rapl:0/energy_uj", "1000000");
  set("powercap/intel-rapl:0/name", "package-0");
  set("powercap/intel-rapl:0/max_energy_range_uj", "100000000");
  set("powercap/intel-rapl:0:0/energy_uj", "7");  // a part of it
  EXPECT_EQ(meter_.look(seconds(1)), 0u);         // one look tells nothing
  set("powercap/intel-rapl:0/energy_uj", "51000000");
  EXPECT_EQ(meter_.look(seconds(6)), 10'000u);
  set("powercap/intel-rapl:0/energy_uj", "1000000");  // it began anew: 50 J again
  EXPECT_EQ(meter_.look(seconds(11)), 10'000u);
}

TEST_F(PowerMeterTest, WhatTheOwnersFileSaysComesFirst) {
  battery("BAT0", "Discharging");
  set("power_supply/BAT0/power_now", "20000000");
  files_.files["/health.json"] =
      R"({"plugged": "UNPLUGGED", "current": -400000, "voltage": 3900, "percentage": 80})";
  EXPECT_EQ(meter_.look(seconds(1)), 1560u);
}

TEST_F(PowerMeterTest, NonsenseIsPassedOver) {
  battery("BAT0", "Discharging");
  set("power_supply/BAT0/power_now", "99999999999999");
  set("powercap/intel-rapl:0/energy_uj", "x");
  EXPECT_EQ(meter_.look(seconds(1)), 0u);
  files_.files["/health.json"] = "[1";
  EXPECT_EQ(meter_.look(seconds(6)), 0u);
}

}  // namespace
}  // namespace potluck::test
