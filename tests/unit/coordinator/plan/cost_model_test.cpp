// The cost model against figures of a Monte Carlo model whose inputs were measured one by one; the
// stated error of that one is 30 %.
#include "coordinator/plan/cost_model.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/plan/known_pools.h"

namespace potluck {
namespace {

using test::KnownModel;

struct Case {
  const KnownModel* model;
  double whole;   // tokens/s: whole experts, f32 on the wire, no prefetch
  double sliced;  // four slices, 8-bit rows, f16 sums, shared expert in the round trip
  double ahead;   // and prefetch
};

constexpr double kError = 0.3;

void expect_near(double found, double expected, const char* what, const KnownModel& model) {
  EXPECT_GE(found, expected * (1 - kError)) << model.name << ", " << what;
  EXPECT_LE(found, expected * (1 + kError)) << model.name << ", " << what;
}

double rate(const PlanModel& model, const PlanPool& pool, const CostOptions& options) {
  PlanPool complete = with_assumptions(pool);
  SharePlan shares = plan_shares(model, complete, options);
  return 1 / decode_time(model, complete, shares.shares, options).total();
}

TEST(CostModel, FourLaptopsOnGigabitEthernet) {
  const Case cases[] = {
      {&test::kQwen30B, 11.4, 14.3, 14.3},  {&test::kGptOss, 6.4, 10.8, 11.6},
      {&test::kQwen235B, 1.39, 2.45, 2.84}, {&test::kQwen397B, 1.69, 2.66, 3.16},
      {&test::kDeepSeek, .54, .96, 1.34},
  };
  for (const Case& known : cases) {
    PlanPool pool = test::laptops(4, *known.model);
    PlanModel plain = test::plan_of(*known.model, 4, 4, false);
    PlanModel narrow = test::plan_of(*known.model, 1.03, 2, true);
    CostOptions whole{1, 0};
    CostOptions sliced{4, 0};
    CostOptions ahead{4, 0.5};
    expect_near(rate(plain, pool, whole), known.whole, "whole", *known.model);
    expect_near(rate(narrow, pool, sliced), known.sliced, "sliced", *known.model);
    expect_near(rate(narrow, pool, ahead), known.ahead, "ahead", *known.model);
  }
}

TEST(CostModel, OneLaptop) {
  const std::pair<const KnownModel*, double> cases[] = {{&test::kQwen30B, 12.9},
                                                        {&test::kGptOss, 2.7},
                                                        {&test::kQwen235B, .29},
                                                        {&test::kQwen397B, .78},
                                                        {&test::kDeepSeek, .20}};
  for (const auto& [model, expected] : cases) {
    PlanModel plain = test::plan_of(*model, 4, 4, false);
    expect_near(rate(plain, test::laptops(1, *model), {1, 0}), expected, "one laptop", *model);
  }
}

// What is read ahead is read all the same, and some of it for nothing: where one disk is all that a
// token waits for, it has no time to read ahead.
TEST(CostModel, ADiskThatIsAlwaysBusyReadsNothingAhead) {
  PlanModel model = test::plan_of(test::kDeepSeek, 4, 4, false);
  PlanPool pool = with_assumptions(test::laptops(1, test::kDeepSeek));
  pool.devices[0].ram_bytes = 1;
  pool.devices[0].disk_rate = 10e6;
  double bytes = 0;
  for (const PlanLayer& layer : model.layers) {
    bytes += layer.count * layer.top_k * layer.expert_bytes();
  }
  double without = decode_time(model, pool, {1}, {1, 0}).total();
  double with = decode_time(model, pool, {1}, {1, 0.5}).total();
  EXPECT_GE(without, bytes / 10e6);
  EXPECT_GE(with, bytes / 10e6);
  EXPECT_LE(with, without);
}

TEST(CostModel, EightMixedDevicesOnWifi) {
  const std::pair<const KnownModel*, double> cases[] = {{&test::kQwen30B, 2.1},
                                                        {&test::kGptOss, 1.5},
                                                        {&test::kQwen235B, .35},
                                                        {&test::kQwen397B, .52},
                                                        {&test::kDeepSeek, .20}};
  for (const auto& [model, expected] : cases) {
    PlanModel plain = test::plan_of(*model, 4, 4, false);
    PlanPool pool = with_assumptions(test::mixed(3, 200));
    // As the figures were made: in the ratio of speeds, nobody left out.
    std::vector<double> shares;
    double sum = 0;
    for (const DeviceFacts& device : pool.devices) {
      shares.push_back(1 / device_load(plain, plain.layers[0], device, 1. / 8).whole);
      sum += shares.back();
    }
    for (double& share : shares) share /= sum;
    expect_near(1 / decode_time(plain, pool, shares, {1, 0}).total(), expected, "WiFi", *model);
  }
}

TEST(CostModel, SlicesMakeWholeExpertsEven) {
  // Measured with replayed routes: 2.4 times the ideal with whole experts on four workers.
  PlanModel model = test::plan_of(test::kQwen235B, 1, 2, false);
  PlanPool pool = with_assumptions(test::laptops(4, test::kQwen235B));
  std::vector<double> equal(4, 0.25);
  PhaseTime whole = decode_time(model, pool, equal, {1, 0});
  PhaseTime sliced = decode_time(model, pool, equal, {4, 0});
  double ratio = (whole.compute + whole.disk) / (sliced.compute + sliced.disk);
  EXPECT_GT(ratio, 1.4);
  EXPECT_LT(ratio, 3);
}

TEST(CostModel, ACacheSmallerThanATokensWorkingSetHitsNothing) {
  PlanModel model = test::plan_of(test::kQwen235B, 1, 2, false);
  DeviceFacts device = test::laptop(1);
  EXPECT_EQ(hit_rate(model, model.layers[0], device, 0.5), 0);
  EXPECT_GT(hit_rate(model, model.layers[0], test::laptop(16), 0.5), 0.8);
  EXPECT_EQ(hit_rate(model, model.layers[0], test::laptop(200), 0.5), 1);
}

TEST(CostModel, WhatFitsNowhereIsReadByTheCoordinator) {
  PlanModel model = test::plan_of(test::kQwen30B, 1, 2, false);
  PlanPool pool = with_assumptions(test::laptops(2, test::kQwen30B));
  PhaseTime all = decode_time(model, pool, {0.5, 0.5}, {2, 0});
  PhaseTime half = decode_time(model, pool, {0.25, 0.25}, {2, 0});
  EXPECT_GT(half.disk, all.disk + 0.1);
}

TEST(CostModel, MissingFactsAreThoseOfTheOthers) {
  PlanPool pool;
  pool.devices = {test::laptop(), DeviceFacts{}, test::laptop()};
  PlanPool complete = with_assumptions(pool);
  EXPECT_EQ(complete.devices[1].disk_rate, 2.5e9);
  EXPECT_EQ(complete.devices[1].products[0].one_row, 25'000'000'000u);
  EXPECT_GT(complete.devices[1].round_trip, 0);
  PlanPool nothing;
  nothing.devices.resize(2);
  for (const DeviceFacts& device : with_assumptions(nothing).devices) {
    EXPECT_GT(device.disk_rate, 0);
    EXPECT_GT(product_rate(device, {}, true), 0);
  }
}

// On gigabit Ethernet the sums of a prompt's rows bind: fewer devices per row are faster there.
TEST(CostModel, APromptWantsFewerSlicesThanAnAnswer) {
  PlanModel model = test::plan_of(test::kQwen30B, 1.03, 2.75, false);
  PlanPool pool = with_assumptions(test::mixed(0.5, 940));
  std::vector<double> equal(8, 1. / 8);
  PhaseTime whole = prefill_time(model, pool, equal, {1, 0}, 2048);
  PhaseTime sliced = prefill_time(model, pool, equal, {8, 0}, 2048);
  EXPECT_LT(whole.wire, sliced.wire);
}

}  // namespace
}  // namespace potluck
