// What /metrics says of devices, whatever these call themselves.
#include "coordinator/cli/device_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/pool_metrics.h"
#include "tests/support/metric_check.h"
#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

PoolFigures figures_of(const std::vector<std::string>& names) {
  PoolFigures figures;
  for (const std::string& name : names) {
    DeviceView device;
    device.key = test::numbered_key(static_cast<uint8_t>(figures.view.devices.size() + 1));
    device.record.name = name;
    device.record.ram_bytes = 4096;
    device.record.health = {50, "it is hot", 80, true, -7};
    device.record.sources.peer_bytes[device.key] = 77;
    device.facts.round_trip = 0.0025;
    device.facts.products.push_back({TensorType::kQ4_K, 1000, 9000});
    device.trust = {7, 9, 1};
    figures.view.devices.push_back(device);
  }
  figures.spread = SpreadFigures{true, 64, 63, 2, 1};
  figures.expected_tokens_per_second = 12.5;
  return figures;
}

std::string text_of(const PoolFigures& figures) {
  MetricText text;
  PoolMetrics metrics;
  metrics.update(figures);
  metrics.write(true, &text);
  return text.take();
}

TEST(DeviceMetrics, SaysWhatIsKnownOfEachDevice) {
  const std::string text = text_of(figures_of({"attic"}));
  const std::string labels =
      fmt::format("{{device=\"attic\",key=\"{}\"}}", test::numbered_key(1).text());
  for (const char* sample :
       {"ram_bytes# 4096", "lent_ratio# 0.5", "battery_ratio# 0.8", "celsius# -7", "on_battery# 1",
        "answers_wrong_total# 1", "round_trip_seconds# 0.0025"}) {
    std::string line = sample;
    line.replace(line.find('#'), 1, labels);
    EXPECT_THAT(text, HasSubstr("\npotluck_device_" + line + "\n"));
  }
  EXPECT_THAT(text, HasSubstr(",from=\"devices\"} 77\n"));
  EXPECT_THAT(text, HasSubstr("potluck_spread_units_missing 1\n"));
  EXPECT_THAT(text, HasSubstr("potluck_expected_tokens_per_second 12.5\n"));
  // What is not known is not said.
  EXPECT_THAT(text, Not(HasSubstr("potluck_device_disk_bytes_per_second{")));
  EXPECT_THAT(test::MetricCheck::faults_of(text), ElementsAre());
}

// Two devices may have one name; a name may hold anything.
TEST(DeviceMetrics, NoNameEndsALabelOrALine) {
  const std::string text = text_of(figures_of(
      {"a\"b", "back\\", "\\\"", "line\nend 1\n# TYPE x counter", "\"} 1\npotluck_fake 2", "same",
       "same", "", std::string("\0zero", 5), "caf\xc3\xa9", "bad\xff utf", "{},=", "\r\t\x7f"}));
  EXPECT_THAT(test::MetricCheck::faults_of(text), ElementsAre());
  EXPECT_THAT(text, HasSubstr(R"({device="a\"b",)"));
  EXPECT_THAT(text, HasSubstr(R"({device="back\\",)"));
  EXPECT_THAT(text, Not(HasSubstr("\npotluck_fake")));
  EXPECT_THAT(text, HasSubstr("caf\xc3\xa9"));
}

TEST(DeviceMetrics, OnlyThoseWhoMaySeeThePoolAreToldOfDevices) {
  PoolMetrics metrics;
  metrics.update(figures_of({"attic"}));
  MetricText text;
  metrics.write(false, &text);
  const std::string all = text.take();
  EXPECT_THAT(all, Not(HasSubstr("attic")));
  EXPECT_THAT(all, HasSubstr("potluck_devices_known 0\n"));
}

}  // namespace
}  // namespace potluck
