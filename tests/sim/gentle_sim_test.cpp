// Devices that have to be treated gently: batteries, heat, memory cards that are pulled out, days
// on which little may be written. Pauses are told before they come, and no token is lost.
#include <algorithm>

#include <gtest/gtest.h>

#include "simulator/scenario_run.h"

#include "tests/sim/seed_range.h"

namespace potluck::sim {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

DeviceKind gentle_phone(uint32_t count) {
  DeviceKind phone;
  phone.name = "phone";
  phone.count = count;
  phone.ram_bytes = 128 * kMiB;
  phone.storage = find_storage_profile("ufs2");
  phone.disk_rate = 800'000'000;
  phone.link.least_delay = milliseconds(1);
  phone.battery = hours(20);
  phone.limits.emplace().battery_floor = 60;
  phone.limits->pause_above = 42;
  return phone;
}

PoolScenario gentle_scenario(uint32_t phones) {
  PoolScenario scenario;
  scenario.name = "gentle";
  scenario.model.experts = 8;
  scenario.model.top_k = 2;
  scenario.as_if_expert_bytes = 4'000'000;
  scenario.replicas = 2;
  scenario.tokens = 8;
  scenario.prompt = 6;
  scenario.devices = {gentle_phone(phones)};
  return scenario;
}

ScenarioEvent gentle_event(EventKind kind, const char* device, Duration at, Duration lasts) {
  ScenarioEvent event;
  event.kind = kind;
  event.device = device;
  event.at = at;
  event.lasts = lasts;
  event.celsius = 46;
  return event;
}

ScenarioResult run_gentle(const PoolScenario& scenario, uint64_t seed) {
  Result<ScenarioModels> models = make_models(scenario);
  EXPECT_TRUE(models.ok());
  return run_scenario(scenario, *models, seed);
}

void expect_fine(const ScenarioResult& result) {
  EXPECT_EQ(result.verdict, Verdict::kFine) << result.failure;
  EXPECT_EQ(result.tokens, result.tokens_asked);
}

// In the middle of an answer: it goes on as if nothing had happened, and no token waits for the
// device that pauses.
TEST(GentleSim, APauseCostsNoToken) {
  PoolScenario scenario = gentle_scenario(3);
  scenario.devices[0].limits->only_when_charging = true;
  scenario.questions = 60;
  scenario.every = seconds(2);
  scenario.events = {gentle_event(EventKind::kUnplug, "phone 1", seconds(10), minutes(1)),
                     gentle_event(EventKind::kHeat, "phone 2", seconds(40), seconds(30))};
  const ScenarioResult result = run_gentle(scenario, 1);
  expect_fine(result);
  ASSERT_EQ(result.days.size(), 3u);
  EXPECT_EQ(result.days[0].day.pauses, 1u);
  EXPECT_EQ(result.days[1].day.pauses, 1u);
  EXPECT_EQ(result.days[2].day.pauses, 0u);
  EXPECT_LT(result.days[0].day.lent, result.days[2].day.lent);
  EXPECT_LT(result.slowest_token, milliseconds(400));
  EXPECT_EQ(result.dispatch.local_unit_calls, 0u) << "the coordinator never had to step in";
}

TEST(GentleSim, ACardThatIsPulledOutIsNoLostWorker) {
  PoolScenario scenario = gentle_scenario(3);
  scenario.devices[0].ram_bytes = 8 * kMiB;  // so that it has to be read
  scenario.questions = 40;
  scenario.every = seconds(5);
  scenario.events = {gentle_event(EventKind::kStoreGone, "phone 1", seconds(20), seconds(45))};
  const ScenarioResult result = run_gentle(scenario, 2);
  expect_fine(result);
  EXPECT_EQ(result.workers_lost, 0u);
}

// A day's allowance that is smaller than its part: it takes what it may, others take the rest.
TEST(GentleSim, WhatADeviceMayNotWriteOthersHold) {
  PoolScenario scenario = gentle_scenario(2);
  DeviceKind sparing = gentle_phone(1);
  sparing.name = "old phone";
  sparing.writes_per_day = 12'000'000;  // three experts of some dozen
  scenario.devices.push_back(sparing);
  const ScenarioResult result = run_gentle(scenario, 3);
  expect_fine(result);
  ASSERT_EQ(result.days.size(), 3u);
  EXPECT_GT(result.days[2].day.written_bytes, 0u);
  EXPECT_LE(result.days[2].day.written_bytes, 16'000'000u);  // and the manifest
  EXPECT_GT(result.days[0].day.written_bytes, result.days[2].day.written_bytes);
}

// Everything at once, drawn from a seed. POTLUCK_SIM_SEED=n runs seed n alone.
TEST(GentleSim, SeededDays) {
  PoolScenario scenario = gentle_scenario(4);
  scenario.questions = 6;
  scenario.every = seconds(15);
  scenario.devices[0].limits->only_when_charging = true;
  constexpr EventKind kKinds[] = {EventKind::kUnplug, EventKind::kHeat, EventKind::kStoreGone,
                                  EventKind::kLinkDown, EventKind::kSleep};
  const SeedRange seeds = seeds_to_run(12);
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    scenario.events.clear();
    for (uint64_t i = 0; i < 6; ++i) {
      scenario.events.push_back(gentle_event(kKinds[random.bits(i, 0) % std::size(kKinds)], "phone",
                                             milliseconds(random.bits(i, 1) % 80'000),
                                             milliseconds(500 + random.bits(i, 2) % 40'000)));
    }
    std::ranges::stable_sort(scenario.events, {}, &ScenarioEvent::at);
    const ScenarioResult result = run_gentle(scenario, seed);
    expect_fine(result);
    if (HasFailure()) {
      for (const std::string& line : result.log) ADD_FAILURE() << line;
      return;
    }
  }
}

}  // namespace
}  // namespace potluck::sim
