// What a pool is like as JSON.
#include "coordinator/cli/pool_json.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "coordinator/cli/event_history.h"
#include "coordinator/cli/pool_forecast.h"
#include "coordinator/cli/qr_code.h"

namespace potluck {
namespace {

struct NoSink final : LogSink {
  bool wants(LogLevel) const override { return false; }
  void write(const LogEvent&) override { ++written; }
  int written = 0;
};

TEST(PoolJson, TellsADevice) {
  PoolView view;
  DeviceView device;
  device.record.number = 3;
  device.record.name = "attic";
  device.record.ram_bytes = kGiB;
  device.record.health = {50, "it is hot", 80, true, 71};
  device.units_assigned = 10;
  device.units_ready = 4;
  device.state = DeviceState::kFetching;
  device.trust = {7, 9, 1};
  view.devices.push_back(device);
  view.units_assigned = 10;
  const nlohmann::json worker = describe_view(view)["workers"][0];
  EXPECT_EQ(worker["number"], 3);
  EXPECT_EQ(worker["state"], "fetching");
  EXPECT_EQ(worker["units_ready"], 4);
  EXPECT_EQ(worker["health"]["battery_percent"], 80);
  EXPECT_EQ(worker["health"]["celsius"], 71);
  EXPECT_EQ(worker["trust"]["valid_in_a_row"], 7);
  EXPECT_TRUE(worker["quarantine"].is_null());
}

TEST(PoolJson, TheMapIsADigitForEachExpert) {
  UnitMap map;
  map.sets = {{}, {1, 2}};
  map.layers.push_back({4, 1, {0, 1, 1}, {0, 2, 30}, {0, 1000, 5}});
  map.layers.push_back({6, 0, {0}, {0}, {0}});
  const nlohmann::json described = describe_map(map);
  EXPECT_EQ(described["sets"], (nlohmann::json{nlohmann::json::array(), {1, 2}}));
  const nlohmann::json layer = described["layers"][0];
  EXPECT_EQ(layer["layer"], 4);
  EXPECT_EQ(layer["cells"], (nlohmann::json{0, 1, 1}));
  EXPECT_EQ(layer["copies"], "029");
  EXPECT_EQ(layer["heat"], "092");
  EXPECT_EQ(described["layers"][1]["heat"], "0");
}

TEST(EventHistory, KeepsTheLastEventsAndPassesAllOn) {
  NoSink sink;
  ManualClock clock;
  EventHistory history(&sink, &clock);
  history.write({LogLevel::kDebug, "pool", "what a developer needs"});
  for (size_t i = 0; i < EventHistory::kKept + 10; ++i) {
    clock.advance(std::chrono::seconds(1));
    history.write({LogLevel::kInfo, "membership", "worker joined " + std::to_string(i)});
  }
  EXPECT_EQ(sink.written, static_cast<int>(EventHistory::kKept) + 11);
  const auto events = history.events();
  ASSERT_EQ(events.size(), EventHistory::kKept);
  EXPECT_EQ(events.front().message, "worker joined 10");
  EXPECT_EQ(events.back().number, EventHistory::kKept + 10);
  EXPECT_EQ(events.back().unix_seconds, clock.unix_seconds());
}

PlanModel one_layer_model() {
  PlanModel model;
  PlanLayer layer;
  layer.dense = {{TensorType::kQ8_0, 1e6}};
  layer.expert = {{TensorType::kQ8_0, 1e6}};
  layer.experts = 8;
  layer.top_k = 2;
  layer.sent_row_bytes = 1000;
  layer.returned_row_bytes = 1000;
  model.layers = {layer};
  model.head = {{TensorType::kQ8_0, 1e6}};
  model.hits = usual_hits();
  return model;
}

TEST(PoolForecast, SlowerLinksAreExpectedToTakeLonger) {
  PoolView view;
  view.slices = 1;
  EXPECT_FALSE(expected_token_time(one_layer_model(), view, {}));
  DeviceView device;
  device.units_assigned = 8;
  device.facts.ram_bytes = kGiB;
  device.facts.disk_bytes = kGiB;
  device.facts.round_trip = 0.001;
  view.devices = {device};
  view.units_assigned = 8;
  const auto near = expected_token_time(one_layer_model(), view, {});
  view.devices[0].facts.round_trip = 0.1;
  const auto far = expected_token_time(one_layer_model(), view, {});
  ASSERT_TRUE(near && far);
  EXPECT_GT(near->total(), 0.001);
  EXPECT_GT(far->total(), near->total() + 0.09);
  // One that holds nothing has no part in it.
  DeviceView idle;
  idle.facts.round_trip = 10;
  view.devices.push_back(idle);
  EXPECT_EQ(expected_token_time(one_layer_model(), view, {})->total(), far->total());
}

// Peers cause events, and choose their names.
TEST(EventHistory, IsBoundedWhateverPeersDo) {
  NoSink sink;
  ManualClock clock;
  EventHistory history(&sink, &clock);
  for (int i = 0; i < 1000; ++i) {
    history.write({LogLevel::kInfo, "pool", std::string(100'000, 'x')});
  }
  const auto events = history.events();
  EXPECT_LE(events.size(), NoticeLimiter::kOfAKind);
  for (const PastEvent& event : events) {
    EXPECT_LE(event.message.size(), EventHistory::kMessageBytes);
  }
}

TEST(QrCode, IsASquareWithItsThreeCorners) {
  const auto rows = qr_code("potluck join ABC");
  ASSERT_EQ(rows.size(), 21U);
  for (const std::string& row : rows) EXPECT_EQ(row.size(), rows.size());
  EXPECT_EQ(rows[0].substr(0, 8), "11111110");
  EXPECT_EQ(rows[0].substr(rows.size() - 7), "1111111");
  EXPECT_EQ(rows.back().substr(0, 7), "1111111");
  EXPECT_TRUE(qr_code(std::string(5000, 'a')).empty());
}

}  // namespace
}  // namespace potluck
