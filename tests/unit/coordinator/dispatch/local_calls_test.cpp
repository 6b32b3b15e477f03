// What is left to the coordinator, and how it is handed out.
#include "coordinator/dispatch/local_calls.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

class LocalCallsTest : public testing::Test {
 protected:
  ChunkPlan plan_ = plan_chunks(test::sample_manifest(1, 1).layers()[0].shape);  // 8 grains
};

TEST_F(LocalCallsTest, CallsComeByExpertAndRowWithTheirSlicesInOne) {
  LocalCalls local;
  EXPECT_TRUE(local.empty());
  local.add(RowCalls{{1, 6, 1, 0.5F}, {1, 6, 0, 0.5F}, {0, 7, 3, 0.25F}});
  local.add(RowCalls{{1, 7, 0, 0.5F}, {0, 6, 2, 1.0F}});
  LocalCalls::Part part = local.take(plan_, 4);
  EXPECT_TRUE(local.empty());
  EXPECT_EQ(part.unit_calls, 5u);
  ASSERT_EQ(part.calls.size(), 4u);
  auto expect = [&](size_t i, uint32_t expert, uint32_t row, GrainRange grains, float weight) {
    EXPECT_EQ(part.calls[i].expert, expert) << i;
    EXPECT_EQ(part.calls[i].row, row) << i;
    EXPECT_EQ(part.calls[i].grains, grains) << i;
    EXPECT_EQ(part.calls[i].weight, weight) << i;
  };
  expect(0, 6, 0, {4, 2}, 1.0F);
  expect(1, 6, 1, {0, 4}, 0.5F);
  expect(2, 7, 0, {6, 2}, 0.25F);
  expect(3, 7, 1, {0, 2}, 0.5F);
}

TEST_F(LocalCallsTest, APartHasWholeExpertsAndAboutSoManyCalls) {
  LocalCalls local;
  RowCalls calls;
  for (uint32_t row = 0; row < 300; ++row) calls.push_back({row, 1, 0, 1});
  for (uint32_t row = 0; row < 200; ++row) calls.push_back({row, 0, 0, 1});
  calls.push_back({0, 2, 0, 1});
  local.add(calls);
  std::vector<size_t> sizes;
  while (!local.empty()) sizes.push_back(local.take(plan_, 1).calls.size());
  EXPECT_EQ(sizes, (std::vector<size_t>{500, 1}));
  static_assert(LocalCalls::kAtOnce > 200 && LocalCalls::kAtOnce <= 500);
}

TEST_F(LocalCallsTest, WhatIsAddedBetweenTwoPartsIsInOrderToo) {
  LocalCalls local;
  RowCalls calls;
  for (uint32_t row = 0; row < 300; ++row) calls.push_back({row, 5, 0, 1});
  calls.push_back({0, 9, 0, 1});
  local.add(calls);
  local.take(plan_, 1);
  local.add(RowCalls{{0, 3, 0, 1}});
  LocalCalls::Part part = local.take(plan_, 1);
  ASSERT_EQ(part.calls.size(), 2u);
  EXPECT_EQ(part.calls[0].expert, 3u);
  EXPECT_EQ(part.calls[1].expert, 9u);
}

TEST_F(LocalCallsTest, MemoryIsTakenBack) {
  RowCalls memory;
  memory.reserve(50);
  LocalCalls local(std::move(memory));
  local.add(RowCalls{{0, 3, 0, 1}});
  EXPECT_GE(local.take_memory().capacity(), 50u);
}

}  // namespace
}  // namespace potluck
