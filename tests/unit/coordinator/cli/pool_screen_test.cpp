// The pool on a terminal of any size.
#include "coordinator/cli/pool_screen.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "coordinator/cli/expert_map_text.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_json.h"
#include "coordinator/cli/pool_picture.h"
#include "coordinator/cli/styled_line.h"

namespace potluck {
namespace {

const TerminalStyle kPlainText{};
const TerminalStyle kFullColor{true, true, true};

DeviceView some_device(uint32_t number, const std::string& name, uint64_t units) {
  DeviceView device;
  device.key.bytes.fill(static_cast<uint8_t>(number));
  device.record.number = number;
  device.record.name = name;
  device.record.ram_bytes = 4 * kGiB;
  device.record.disk_bytes = 64 * kGiB;
  device.units_assigned = units;
  device.units_ready = units;
  device.state = DeviceState::kReady;
  device.facts.disk_rate = 5e8;
  device.facts.observed_rate = 2e9;
  device.facts.round_trip = 0.00031;
  return device;
}

UnitMap some_map(uint32_t layers, uint32_t experts) {
  UnitMap map;
  map.sets = {{}, {1}, {2}, {1, 2}};
  for (uint32_t l = 0; l < layers; ++l) {
    LayerMap layer;
    layer.layer = l;
    for (uint32_t e = 0; e < experts; ++e) {
      layer.cells.push_back(e < experts / 2 ? 1 : 2);
      layer.copies.push_back(1);
      layer.uses.push_back(e);
    }
    map.layers.push_back(layer);
  }
  return map;
}

PoolPicture some_picture() {
  PoolPicture picture;
  picture.model = "a model";
  picture.pool.devices = {some_device(1, "attic", 60), some_device(2, "phone", 40)};
  picture.pool.units_assigned = 100;
  picture.pool.units_ready = 100;
  picture.map = some_map(8, 64);
  picture.tokens_per_second = 12.34;
  picture.shares = TimeShares{0.25, 0.25, 0.25, 0.25};
  picture.service = ServiceView{2, 1, 7, 1000, kMiB, kGiB};
  picture.events = {"1 s ago  worker joined"};
  return picture;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    EXPECT_NE(end, std::string::npos);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(PoolScreen, TellsWhatTheDashboardTells) {
  const std::string text = draw_pool(some_picture(), {100, 0}, kPlainText, MapKind::kHolders);
  for (const char* part : {"a model",
                           "12.3 tokens/s",
                           "running, 2 of 2 devices ready",
                           "2 sessions, 1 waiting",
                           "coordinator 25 %",
                           "network 25 %",
                           "disks 25 %",
                           "experts 25 %",
                           "attic",
                           "60 %",
                           "phone",
                           "40 %",
                           "1.9 GiB/s",
                           "476.8 MiB/s",
                           "0.31 ms",
                           "4.0 GiB",
                           "64.0 GiB",
                           "8 layers x 64 experts",
                           "11111111111111111111111111111111222222222222",
                           "worker joined"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(PoolScreen, FitsEverySize) {
  PoolPicture picture = some_picture();
  for (uint32_t i = 3; i < 40; ++i) {
    DeviceView device = some_device(i, "device of somebody with a long name", 0);
    device.state = DeviceState::kLeftOut;
    device.left_out = "a token is faster without it, for it is slow";
    picture.pool.devices.push_back(device);
  }
  for (const TerminalStyle& style : {kPlainText, TerminalStyle{true, false, true}}) {
    for (size_t width : {1U, 7U, 20U, 39U, 79U, 200U}) {
      for (size_t height : {1U, 2U, 5U, 10U, 17U, 24U, 60U, 200U}) {
        const auto lines = lines_of(draw_pool(picture, {width, height}, style, MapKind::kHolders));
        EXPECT_LE(lines.size(), height);
        for (const std::string& line : lines) EXPECT_LE(display_width(line), width) << line;
      }
    }
  }
}

TEST(PoolScreen, SaysHowManyDevicesAreNotShown) {
  PoolPicture picture = some_picture();
  for (uint32_t i = 3; i <= 30; ++i) picture.pool.devices.push_back(some_device(i, "d", 1));
  picture.map = {};
  const std::string text = draw_pool(picture, {80, 20}, kPlainText, MapKind::kHolders);
  EXPECT_NE(text.find("more\n"), std::string::npos) << text;
}

TEST(PoolScreen, SaysWhyADeviceDoesLessThanItCould) {
  PoolPicture picture = some_picture();
  DeviceView& phone = picture.pool.devices[1];
  phone.state = DeviceState::kQuarantined;
  phone.record.quarantine = QuarantineRecord{"it answered wrongly", 0};
  picture.pool.devices[0].record.health = {50, "it is hot", {}, false, 71};
  picture.pool.devices[0].state = DeviceState::kFetching;
  picture.pool.devices[0].units_ready = 30;
  picture.away = {"tablet"};
  const std::string text = draw_pool(picture, {100, 0}, kPlainText, MapKind::kNone);
  for (const char* part : {"quarantined", "gets no work: it answered wrongly", "fetching 50 %",
                           "lends 50 % of its speed: it is hot", "tablet", "away"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("layers x"), std::string::npos);
}

TEST(PoolScreen, ACoordinatorThatEndedIsSaidToHaveEnded) {
  PoolPicture picture = some_picture();
  picture.running = false;
  picture.age_seconds = 12;
  EXPECT_NE(draw_pool(picture, {80, 0}, kPlainText, MapKind::kNone).find("ended (12 s ago"),
            std::string::npos);
  picture.running = true;
  EXPECT_NE(draw_pool(picture, {80, 0}, kPlainText, MapKind::kNone).find("silent for 12 s"),
            std::string::npos);
}

TEST(PoolScreen, NamesOfDevicesCannotCommandTheTerminal) {
  PoolPicture picture = some_picture();
  picture.model = "\x1b]0;m\a";
  picture.pool.devices[0].record.name = "\x1b[2Jevil\n";
  picture.pool.devices[0].left_out = "\x1b[31mred";
  picture.away = {
      "\x9b"
      "1m"};
  picture.events = {"\x1b[H"};
  const std::string text = draw_pool(picture, {200, 0}, kFullColor, MapKind::kHolders);
  for (const char* bad : {"\x1b]", "\x1b[2J", "\x1b[31mred", "\x1b[H", "\a"}) {
    EXPECT_EQ(text.find(bad), std::string::npos);
  }
  EXPECT_NE(text.find("evil"), std::string::npos);
}

std::string map_text(const UnitMap& map, ScreenSize size, MapKind kind,
                     const TerminalStyle& style = kPlainText) {
  std::string text;
  for (const std::string& line : draw_map(map, size, style, kind)) text += line + "\n";
  return text;
}

TEST(ExpertMapText, OneCharacterForEachExpertWhereThereIsRoom) {
  UnitMap map = some_map(2, 6);
  map.layers[0].own = 2;
  map.layers[1].cells = {0, 1, 1, 3, 3, 3};
  EXPECT_EQ(map_text(map, {80, 10}, MapKind::kHolders),
            "2 layers x 6 experts: who holds them\n"
            "  0 *11222\n"
            "  1 .11212\n"
            "* coordinator  . on no device (1)  columns take turns where several have them\n");
  map.layers[0].copies = {0, 1, 2, 3, 10, 1};
  EXPECT_NE(map_text(map, {80, 10}, MapKind::kCopies).find("  0 122391"), std::string::npos)
      << map_text(map, {80, 10}, MapKind::kCopies);
}

TEST(ExpertMapText, ThinsOutToTheRoomThereIs) {
  const UnitMap map = some_map(48, 128);
  const auto lines = draw_map(map, {40, 10}, kPlainText, MapKind::kHolders);
  ASSERT_EQ(lines.size(), 10U);
  // 36 columns for 128 experts: 4 to a column; 8 rows for 48 layers.
  EXPECT_EQ(lines[0], "48 layers x 128 experts: who holds them;");
  EXPECT_EQ(lines[1], "  0 " + std::string(16, '1') + std::string(16, '2'));
  EXPECT_EQ(lines[8].substr(0, 4), " 42 ");
}

TEST(ExpertMapText, UseIsAScaleOfNineSteps) {
  UnitMap map = some_map(1, 3);
  map.layers[0].uses = {0, 10, 1000000};
  EXPECT_NE(map_text(map, {80, 10}, MapKind::kUse).find("  0  :@\n"), std::string::npos)
      << map_text(map, {80, 10}, MapKind::kUse);
  EXPECT_NE(map_text(map, {80, 10}, MapKind::kUse, kFullColor).find("█"), std::string::npos);
}

TEST(ExpertMapText, WhatMakesNoSenseIsPassedOver) {
  UnitMap map;
  EXPECT_TRUE(draw_map(map, {80, 10}, kPlainText, MapKind::kHolders).empty());
  map.layers.push_back({7, 0, {5, 1}, {}, {}});  // sets and lists that do not exist
  EXPECT_NE(map_text(map, {80, 10}, MapKind::kHolders).find("  7 .."), std::string::npos);
  EXPECT_NE(map_text(map, {80, 10}, MapKind::kCopies).find("  7 00"), std::string::npos);
  EXPECT_TRUE(draw_map(map, {80, 2}, kPlainText, MapKind::kHolders).empty());
  EXPECT_EQ(device_mark(1), '1');
  EXPECT_EQ(device_mark(10), 'a');
  EXPECT_EQ(device_mark(61), 'Z');
  EXPECT_EQ(device_mark(62), '#');
  EXPECT_EQ(device_mark(0), '#');
}

// The view goes through the status file to the terminal.
TEST(PoolPicture, TheFilesSayTheSame) {
  PoolPicture whole = some_picture();
  whole.pool.devices[0].record.health = {50, "it is hot", 80, true, 71};
  whole.pool.devices[0].breaker = BreakerState::kHalfOpen;
  whole.pool.devices[0].trust = {7, 9, 1};
  whole.pool.devices[1].left_out = "slow";
  whole.pool.own_share = 0.2;
  whole.pool.own = DeviceFacts{};
  whole.pool.own->ram_bytes = kGiB;
  nlohmann::json status = describe_view(whole.pool);
  status["model"] = whole.model;
  status["written_unix_seconds"] = 1000;
  status["devices"] = {{{"key", whole.pool.devices[0].key.text()}, {"name", "attic"}},
                       {{"key", "gone"}, {"name", "tablet"}}};
  const PoolPicture read = picture_of(status, describe_map(whole.map), true, 1007);
  EXPECT_EQ(read.age_seconds, 7);
  EXPECT_EQ(read.away, std::vector<std::string>{"tablet"});
  whole.age_seconds = 7;
  whole.away = read.away;
  whole.service.reset();
  whole.shares.reset();
  whole.tokens_per_second = 0;
  whole.events.clear();
  for (const MapKind kind : {MapKind::kHolders, MapKind::kCopies, MapKind::kUse}) {
    EXPECT_EQ(draw_pool(read, {150, 0}, kPlainText, kind),
              draw_pool(whole, {150, 0}, kPlainText, kind));
  }
}

TEST(PoolPicture, AnyDocumentIsShownSomehow) {
  for (const char* text :
       {"{}", "[]", "null", R"({"workers": [1, {}, {"number": -5, "health": 3}], "own": []})",
        R"({"written_unix_seconds": -9223372036854775808, "devices": [3], "events": [{}, 4]})",
        R"({"workers": [{"number": 99999999999, "name": "\u001b[2J", "state": "odd"}]})"}) {
    const nlohmann::json status = *read_json(text);
    const nlohmann::json map = *read_json(
        R"({"sets": [1, [2, -1]], "layers": [3, {"layer": 1, "own": 9, "cells": [-1, "x", 1]}]})");
    const std::string drawn =
        draw_pool(picture_of(status, map, true, 0), {80, 24}, kFullColor, MapKind::kHolders);
    EXPECT_EQ(drawn.find("\x1b[2J"), std::string::npos);
    EXPECT_EQ(sample_of(status, object_field(status, "service")).answer_tokens, 0U);
  }
}

PoolSample sample_at(double at, uint64_t tokens, uint64_t wait_ms, uint64_t slowest_ms) {
  PoolSample sample;
  sample.at = at;
  sample.answer_tokens = tokens;
  sample.busy = true;
  sample.layer_wait = wait_ms * 1'000'000;
  sample.slowest_compute = slowest_ms * 1'000'000;
  sample.compute = sample.slowest_compute;
  return sample;
}

TEST(PoolHistory, RatesAreTakenOverSomeSeconds) {
  PoolHistory history;
  EXPECT_FALSE(history.shares());
  for (int i = 0; i <= 10; ++i) {
    history.add(sample_at(i, static_cast<uint64_t>(5 * i), static_cast<uint64_t>(500 * i),
                          static_cast<uint64_t>(300 * i)));
  }
  EXPECT_DOUBLE_EQ(history.tokens_per_second(), 5);
  const auto shares = history.shares();
  ASSERT_TRUE(shares);
  EXPECT_NEAR(shares->experts, 0.3, 1e-9);
  EXPECT_NEAR(shares->network, 0.2, 1e-9);
  EXPECT_NEAR(shares->coordinator, 0.5, 1e-9);
  // The same report again changes nothing; a coordinator that started anew begins anew.
  history.add(sample_at(10, 50, 5000, 3000));
  EXPECT_DOUBLE_EQ(history.tokens_per_second(), 5);
  history.add(sample_at(1, 0, 0, 0));
  EXPECT_EQ(history.tokens_per_second(), 0);
  EXPECT_FALSE(history.shares());
}

}  // namespace
}  // namespace potluck
