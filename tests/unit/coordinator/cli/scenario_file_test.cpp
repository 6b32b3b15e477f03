#include "coordinator/cli/scenario_file.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using sim::EventKind;

TEST(ScenarioFile, PoolsAndEventsAsDescribed) {
  auto scenario = parse_scenario("s.toml",
                                 "[scenario]\nname = \"x\"\nquestions = 2\nevery = \"2h\"\n"
                                 "[model]\nexperts = 16\n"
                                 "[[device]]\nname = \"phone\"\ncount = 2\ndelay = \"3ms\"\n"
                                 "disk-rate = \"300MB/s\"\nair = 1\n"
                                 "[[device]]\nname = \"laptop\"\n"
                                 "[[event]]\nat = \"5min\"\nkind = \"sleep\"\n"
                                 "device = \"phone 2\"\nfor = \"20s\"\n"
                                 "[[event]]\nat = \"1s\"\nkind = \"crash\"\ndevice = \"*\"\n"
                                 "every = \"10s\"\ntimes = 3\n");
  ASSERT_TRUE(scenario.ok()) << scenario.error().message;
  EXPECT_EQ(scenario->name, "x");
  EXPECT_EQ(scenario->every, std::chrono::hours(2));
  ASSERT_EQ(scenario->devices.size(), 2u);
  EXPECT_EQ(scenario->devices[0].count, 2u);
  EXPECT_EQ(scenario->devices[0].link.least_delay, std::chrono::milliseconds(3));
  EXPECT_EQ(scenario->devices[0].disk_rate, 300'000'000u);
  ASSERT_EQ(scenario->events.size(), 4u) << "in order of time, with repetitions";
  EXPECT_EQ(scenario->events[2].at, std::chrono::seconds(21));
  EXPECT_EQ(scenario->events[3].kind, EventKind::kSleep);
}

TEST(ScenarioFile, ErrorsNameTheFileAndTheField) {
  const std::string device = "[[device]]\nname = \"a\"\n";
  for (const auto& [text, saying] : std::initializer_list<std::pair<std::string, const char*>>{
           {"", "[[device]]: is missing"},
           {"[[device]]\ncount = 2\n", "s.toml:1: [device] name: is missing"},
           {device + "ram = \"much\"\n", "s.toml:3: [device] ram: "},
           {device + "speed = 3\n", "s.toml:3: [device] speed: expected air, battery"},
           {device + "count = 1025\n", "s.toml:3: [device] count: "},
           {device + "disk-rate = \"1\"\n", "s.toml:3: [device] disk-rate: "},
           {device + device, "s.toml:3: [device] name: another"},
           {device + "[[event]]\nkind = \"fire\"\n", "s.toml:4: [event] kind: expected one of"},
           {device + "[[event]]\nkind = \"sleep\"\ndevice = \"a\"\n", "[event] for: is missing"},
           {device + "[[event]]\nkind = \"crash\"\n", "[event] device: is missing"},
           {device + "[[event]]\nkind = \"crash\"\ndevice = \"b\"\n", "no device is called b"},
           {device + "[[event]]\nat = \"900h\"\n", "s.toml:4: [event] at: expected a time"},
           {device + "[model]\nexperts-used = 9\n", "[model] experts-used"},
           {device + "[model]\nhidden = 65536\nexpert-width = 65536\n", "[model] weights"},
           {device + "storage = \"floppy\"\n", "[device] storage: expected one of sd, emmc, ufs2"},
           {device + "battery-floor = \"101%\"\n",
            "[device] battery-floor: expected a whole number"},
           {device + "[[event]]\nkind = \"heat\"\ndevice = \"a\"\n", "[event] for: is missing"},
           {device + "[weather]\n", "s.toml:3: [weather]: expected [scenario]"},
           {device + "[scenario]\nname = [\"x\"]\n", "expected one value"},
       }) {
    auto scenario = parse_scenario("s.toml", text);
    ASSERT_FALSE(scenario.ok()) << text;
    EXPECT_NE(scenario.error().message.find(saying), std::string::npos) << scenario.error().message;
  }
}

}  // namespace
}  // namespace potluck
