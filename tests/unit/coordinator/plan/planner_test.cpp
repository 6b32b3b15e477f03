#include "coordinator/plan/planner.h"

#include <numeric>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/coordinator/plan/known_pools.h"

namespace potluck {
namespace {

double sum_of(const std::vector<double>& shares) {
  return std::accumulate(shares.begin(), shares.end(), 0.0);
}

PlanModel large() {
  return test::plan_of(test::kQwen235B, 1.06, 2.75, false);
}

TEST(Planner, LikeDevicesGetTheSame) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(6, test::laptop());
  SharePlan plan = plan_shares(large(), with_assumptions(pool), {4, 0});
  EXPECT_NEAR(sum_of(plan.shares), 1, 1e-6);
  for (double share : plan.shares) EXPECT_NEAR(share, 1. / 6, 1e-6);
  for (const std::string& reason : plan.left_out) EXPECT_EQ(reason, "");
}

TEST(Planner, SharesFollowTheDisks) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  for (double disk : {0.2, 0.4, 0.8, 1.6}) {
    pool.devices.push_back(test::device(0.1, 25, disk, 0.25, 940));
  }
  pool = with_assumptions(pool);
  CostOptions options{8, 0};
  SharePlan plan = plan_shares(large(), pool, options);
  EXPECT_NEAR(sum_of(plan.shares), 1, 1e-6);
  for (size_t i = 1; i < 4; ++i) EXPECT_GT(plan.shares[i], 1.5 * plan.shares[i - 1]);
}

// The sum of the disks is what there is to gain: units of speed 1, 2, 4 and 8 come to 0.85 of it.
TEST(Planner, UnequalDisksAddUp) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  for (double disk : {0.1, 0.2, 0.4, 0.8}) {
    pool.devices.push_back(test::device(0.01, 200, disk, 0.05, 10'000));
  }
  pool = with_assumptions(pool);
  PlanModel model = large();
  Plan plan = make_plan(model, pool, test::numbered(4), {0, 512, 0});
  const PlanLayer& layer = model.layers[0];
  double ideal = layer.count * layer.top_k * layer.expert_bytes() / 1.5e9;
  double layers = plan.decode.disk + plan.decode.compute;
  EXPECT_LE(layers * 0.85, ideal) << "slices " << plan.slices;
}

TEST(Planner, ADeviceTenTimesSlowerCostsNothing) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(4, test::laptop());
  PlanModel model = large();
  Plan without = make_plan(model, pool, test::numbered(4), {4, 512, 0.5});
  pool.devices.push_back(test::device(1, 2.5, 0.25, 0.25, 940));
  Plan with = make_plan(model, pool, test::numbered(5), {4, 512, 0.5});
  EXPECT_GE(with.decode_rate(), 0.95 * without.decode_rate());
  EXPECT_LT(with.shares.shares[4], 0.03);
  EXPECT_EQ(with.shares.shares[4] > 0, with.shares.left_out[4].empty());
}

TEST(Planner, BatteriesAreSparedWhereOthersAreFastEnough) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(4, test::laptop());
  pool.devices[1].on_battery = pool.devices[2].on_battery = true;
  pool = with_assumptions(pool);
  CostOptions options{4, 0.5};
  const SharePlan fast = plan_shares(large(), pool, options);
  EXPECT_GT(fast.shares[1], 0);
  options.prefer = Prefer::kBattery;
  const SharePlan sparing = plan_shares(large(), pool, options);
  EXPECT_NEAR(sum_of(sparing.shares), 1, 1e-6);
  EXPECT_EQ(sparing.shares[1] + sparing.shares[2], 0);
  EXPECT_NE(sparing.left_out[1].find("it runs on battery"), std::string::npos);
  EXPECT_EQ(sparing.left_out[0], "");
  EXPECT_LE(decode_time(large(), pool, sparing.shares, options).total(),
            kBatteryPatience * decode_time(large(), pool, fast.shares, options).total());
}

TEST(Planner, BatteriesAreUsedWhereOthersAreTooSlowOrTooSmall) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(4, test::laptop());
  for (size_t i = 1; i < 4; ++i) pool.devices[i].on_battery = true;
  PlanPool slow = pool;
  slow.devices[0] = test::device(1, 0.5, 0.05, 0.25, 940);
  CostOptions options{4, 0.5};
  options.prefer = Prefer::kBattery;
  const SharePlan needed = plan_shares(large(), with_assumptions(slow), options);
  EXPECT_GT(needed.shares[1] + needed.shares[2] + needed.shares[3], 0.5);
  PlanPool small = pool;
  small.devices[0].disk_bytes = kGiB;
  const SharePlan room = plan_shares(large(), with_assumptions(small), options);
  EXPECT_NEAR(sum_of(room.shares), 1, 1e-6);
}

TEST(Planner, ADistantDeviceIsLeftOutWithAReason) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(4, test::laptop());
  pool.devices.push_back(test::device(8, 25, 2.5, 60, 20));
  SharePlan plan = plan_shares(large(), with_assumptions(pool), {4, 0.5});
  EXPECT_EQ(plan.shares[4], 0);
  EXPECT_NE(plan.left_out[4].find("round trip"), std::string::npos) << plan.left_out[4];
}

TEST(Planner, ADeviceThatIsNeededForSpaceStays) {
  PlanPool pool;
  pool.coordinator = test::laptop();
  pool.devices.assign(2, test::laptop());
  PlanModel model = large();
  for (DeviceFacts& device : pool.devices) {
    device.disk_bytes = static_cast<uint64_t>(model.bank_bytes() * 0.4);
  }
  pool.devices.push_back(test::device(1, 1, 0.1, 5, 50));
  SharePlan plan = plan_shares(model, with_assumptions(pool), {4, 0.5});
  EXPECT_NEAR(sum_of(plan.shares), 1, 1e-6);
  EXPECT_GE(plan.shares[2], 0.2 - 1e-6);
}

TEST(Planner, WithoutRoomTheRestIsUnplaced) {
  PlanPool pool;
  pool.devices = {test::laptop()};
  PlanModel model = large();
  pool.devices[0].disk_bytes = static_cast<uint64_t>(model.bank_bytes() / 2);
  Plan plan = make_plan(model, pool, {"it"}, {});
  EXPECT_NEAR(plan.unplaced, 0.5, 1e-3);
  EXPECT_NE(plan.bottleneck.find("fit on no device"), std::string::npos) << plan.bottleneck;
}

TEST(Planner, NoDevicesAndNoExperts) {
  Plan alone = make_plan(large(), {}, {}, {});
  EXPECT_NEAR(alone.unplaced, 1, 1e-9);
  PlanModel dense;
  dense.layers.resize(1);
  dense.layers[0].dense = {{TensorType::kF16, 1e9}};
  dense.hits = usual_hits();
  Plan plan = make_plan(dense, {}, {}, {});
  EXPECT_GT(plan.decode_rate(), 0);
  EXPECT_NE(plan.bottleneck.find("coordinator"), std::string::npos);
}

TEST(Planner, WhatWouldHelp) {
  PlanPool pool = test::mixed(3, 200);
  std::vector<WhatIf> changes = what_ifs(large(), pool, test::numbered(8), {});
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_NE(changes[2].change.find("cable"), std::string::npos);
  double now = make_plan(large(), pool, test::numbered(8), {}).decode_rate();
  EXPECT_GT(changes[1].decode_rate, now) << "more memory";
  EXPECT_GT(changes[2].decode_rate, now) << "a cable";
}

TEST(Planner, AnythingGivesASoundPlan) {
  CounterRandom random(5);
  uint64_t drawn = 0;
  auto draw = [&](double most) {
    return static_cast<double>(random.bits(drawn++) % 1000) / 999 * most;
  };
  for (int round = 0; round < 60; ++round) {
    PlanPool pool;
    size_t count = random.bits(drawn++) % 12;
    for (size_t i = 0; i < count; ++i) {
      DeviceFacts facts = test::device(draw(20), draw(50), draw(4), draw(20), draw(2000));
      if (random.bits(drawn++) % 4 == 0) facts.disk_bytes = static_cast<uint64_t>(draw(1e11));
      if (random.bits(drawn++) % 4 == 0) facts.correction = 0.01 + draw(3);
      facts.health = draw(1);
      pool.devices.push_back(facts);
    }
    Plan plan = make_plan(large(), pool, test::numbered(count), {});
    EXPECT_TRUE(std::isfinite(plan.decode.total()));
    EXPECT_GT(plan.decode.total(), 0);
    EXPECT_LE(sum_of(plan.shares.shares), 1 + 1e-6);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_GE(plan.shares.shares[i], 0);
      EXPECT_EQ(plan.shares.shares[i] > 0, plan.shares.left_out[i].empty());
    }
  }
}

// How many devices are looked at, instead of how long it takes: on an ordinary machine a million a
// second.
TEST(Planner, AThousandDevicesAreABoundedNumberOfLooks) {
  for (size_t count : {10u, 100u, 1000u}) {
    PlanPool pool;
    for (size_t i = 0; i < count; ++i) {
      double speed = 1 + static_cast<double>(i % 17);
      pool.devices.push_back(test::device(speed, 2 * speed, speed / 4, 0.3, 940));
    }
    SharePlan plan = plan_shares(large(), with_assumptions(pool), {4, 0.5});
    EXPECT_LE(plan.looked_at, 200 * count);
    EXPECT_NEAR(sum_of(plan.shares), 1, 1e-6);
  }
}

}  // namespace
}  // namespace potluck
