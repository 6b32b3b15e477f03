// How long a context is granted, by memory.
#include "engine/model/context_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

using ::testing::HasSubstr;

// 2 layers x 2 KV heads x 2 x 64 values: 1024 bytes per position in f16, 544 in q8_0.
ModelConfig planned_shape() {
  ModelConfig config;
  config.layers = 2;
  config.kv_heads = 2;
  config.head_dim = 64;
  config.value_dim = 64;
  config.trained_context = 32768;
  return config;
}

MemoryBound memory(uint64_t bytes) {
  return {bytes, "the test"};
}

TEST(PlanContext, TakesTheTrainedContextIfHalfTheMemoryHoldsIt) {
  EXPECT_EQ(plan_context(planned_shape(), {}, memory(64 * kMiB)).value(), 32768u);
  EXPECT_EQ(plan_context(planned_shape(), {}, memory(64 * kMiB - 1)).value(),
            32768u - kAttentionChunk);
  EXPECT_EQ(plan_context(planned_shape(), {}, memory(8 * kMiB)).value(), 4096u);
  // What others will take is not there for the cache.
  EXPECT_EQ(plan_context(planned_shape(), {0, KvType::kF16, 4 * kMiB}, memory(12 * kMiB)).value(),
            4096u);
  EXPECT_EQ(plan_context(planned_shape(), {0, KvType::kF32, 0}, memory(8 * kMiB)).value(), 2048u);
}

TEST(PlanContext, HasADefaultWhateverTheMemory) {
  EXPECT_EQ(plan_context(planned_shape(), {}, memory(0)).value(), kAttentionChunk);
  EXPECT_EQ(plan_context(planned_shape(), {}, MemoryBound()).value(), 4096u);
  ModelConfig small = planned_shape();
  small.trained_context = 100;
  EXPECT_EQ(plan_context(small, {}, memory(0)).value(), 100u);
  EXPECT_EQ(plan_context(small, {}, MemoryBound()).value(), 100u);
}

TEST(PlanContext, GrantsAWishThatFits) {
  EXPECT_EQ(plan_context(planned_shape(), {5000}, memory(20 * 256 * 1024)).value(), 5000u);
  EXPECT_EQ(plan_context(planned_shape(), {100000}, MemoryBound()).value(), 100000u);
}

TEST(PlanContext, RefusesAWishWithTheFigureThatFits) {
  auto refused = plan_context(planned_shape(), {5000}, memory(20 * 256 * 1024 - 1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  for (const char* part : {"--ctx 5000", "5.0 MiB", "1024 bytes per position in f16", "the test",
                           "--ctx 4864 would fit", "--kv q8_0 --ctx 9472"}) {
    EXPECT_THAT(refused.error().message, HasSubstr(part));
  }
  // What is named fits, and no more does.
  EXPECT_TRUE(plan_context(planned_shape(), {4864}, memory(20 * 256 * 1024 - 1)).ok());
  EXPECT_FALSE(plan_context(planned_shape(), {4865}, memory(20 * 256 * 1024 - 1)).ok());
  EXPECT_TRUE(
      plan_context(planned_shape(), {9472, KvType::kQ8_0}, memory(20 * 256 * 1024 - 1)).ok());
  EXPECT_FALSE(
      plan_context(planned_shape(), {9473, KvType::kQ8_0}, memory(20 * 256 * 1024 - 1)).ok());
  EXPECT_THAT(plan_context(planned_shape(), {1}, memory(1000)).error().message,
              HasSubstr("not even one"));
  EXPECT_THAT(plan_context(planned_shape(), {UINT32_MAX}, memory(UINT64_MAX)).error().message,
              HasSubstr(std::to_string(limits::kContext)));
}

// Layers with a recurrent state take no positions, but something all the same.
TEST(PlanContext, CountsRecurrentStates) {
  ModelConfig config = planned_shape();
  config.full_attention_interval = 2;
  config.delta = {2, 2, 8, 8, 4, false, false};
  uint64_t fixed = KvCache::fixed_bytes(config);
  EXPECT_GT(fixed, 0u);
  EXPECT_EQ(KvCache::bytes_per_position(config, KvType::kF16), 512u);
  EXPECT_TRUE(plan_context(config, {256}, memory(fixed + 256 * 512)).ok());
  EXPECT_FALSE(plan_context(config, {256}, memory(fixed + 256 * 512 - 1)).ok());
}

}  // namespace
}  // namespace potluck
