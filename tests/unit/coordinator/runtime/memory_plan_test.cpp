// What is decided about memory before a model is read.
#include "coordinator/runtime/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// 96 KiB of f16 cache per position.
ModelConfig shape() {
  ModelConfig config;
  config.layers = 48;
  config.kv_heads = 4;
  config.head_dim = config.value_dim = 128;
  config.trained_context = 40960;
  return config;
}

MemoryNeeds large_model() {
  MemoryNeeds needs;
  needs.weights = 2 * kGiB;
  needs.scratch = 100 * kMiB;
  needs.experts = 54 * kGiB;
  needs.stored = 55 * kGiB;
  needs.loading = 36 * kMiB;
  needs.expert_part = kMiB;
  return needs;
}

MemoryBound memory(uint64_t bytes) {
  return {bytes, "the test"};
}

uint64_t taken(const MemoryNeeds& needs, const MemoryPlan& plan, KvType type) {
  uint64_t cache = KvCache::bytes_for(shape(), type, plan.context);
  uint64_t experts = plan.ram_bytes > 0 ? std::min(plan.ram_bytes, needs.stored) : needs.experts;
  return needs.weights + needs.scratch + cache + experts;
}

TEST(PlanMemory, KeepsInMemoryWhatFitsThere) {
  auto plan = plan_memory(shape(), large_model(), {}, memory(80 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->ram_bytes, 0u);
  EXPECT_EQ(plan->reason, "");
  EXPECT_EQ(plan->context, 40960u);
  plan = plan_memory(shape(), large_model(), {}, MemoryBound());  // nothing is known
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->ram_bytes, 0u);
}

TEST(PlanMemory, StreamsWhatDoesNotAndSaysWhy) {
  auto plan = plan_memory(shape(), large_model(), {}, memory(20 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_GT(plan->ram_bytes, 8 * kGiB);
  EXPECT_LE(taken(large_model(), *plan, KvType::kF16), 20 * kGiB);
  EXPECT_GE(plan->context, 4096u);
  EXPECT_THAT(plan->reason, AllOf(HasSubstr("54.0 GiB of experts"), HasSubstr("2.0 GiB of weights"),
                                  HasSubstr("20.0 GiB can be had (the test)")));
}

TEST(PlanMemory, HoldsTheContextThatWasAskedFor) {
  MemoryWish wish{32768, KvType::kF16, 0};
  auto plan = plan_memory(shape(), large_model(), wish, memory(8 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->context, 32768u);
  EXPECT_LE(taken(large_model(), *plan, KvType::kF16), 8 * kGiB);
  // Only where it is the context's fault the refusal says so.
  auto refused = plan_memory(shape(), large_model(), wish, memory(4 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("--ctx 32768"), HasSubstr("would fit")));
  refused = plan_memory(shape(), large_model(), wish, memory(1 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("even with the experts on disk"), HasSubstr("at least 2.2 GiB")));
}

TEST(PlanMemory, TakesASizeThatWasGiven) {
  MemoryWish wish{0, KvType::kF16, 6 * kGiB};
  auto plan = plan_memory(shape(), large_model(), wish, memory(10 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->ram_bytes, 6 * kGiB);
  EXPECT_EQ(plan->reason, "");
  // More than all experts is all experts.
  wish.ram_bytes = 500 * kGiB;
  EXPECT_TRUE(plan_memory(shape(), large_model(), wish, memory(60 * kGiB)));
  auto refused = plan_memory(shape(), large_model(), wish, memory(10 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("--ram"), HasSubstr("MiB would fit")));
}

// A size that was given is held, but never together with more than there is.
TEST(PlanMemory, AGivenSizeHasToFitBesideWhatComputingTakes) {
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    CounterRandom random(seed);
    uint64_t drawn = 0;
    auto size = [&](uint64_t most) { return random.bits(drawn++) % most; };
    MemoryNeeds needs;
    needs.weights = size(4 * kGiB);
    needs.scratch = size(kGiB);
    needs.experts = size(20 * kGiB) + kMiB;
    needs.stored = needs.experts + needs.experts / 50;
    needs.expert_part = size(kMiB) + 4096;
    MemoryWish wish;
    wish.context = size(2) == 0 ? static_cast<uint32_t>(size(60'000)) : 0;
    wish.ram_bytes = size(20 * kGiB) + 1;
    MemoryBound bound = memory(size(24 * kGiB));
    uint64_t least = needs.weights + needs.scratch + std::min(wish.ram_bytes, needs.stored) +
                     KvCache::bytes_for(shape(), wish.kv_type, std::max(wish.context, 1U));
    auto plan = plan_memory(shape(), needs, wish, bound);
    EXPECT_EQ(plan.ok(), least <= bound.bytes) << seed;
    if (!plan) continue;
    EXPECT_LE(taken(needs, *plan, wish.kv_type), bound.bytes) << seed;
    EXPECT_EQ(plan->ram_bytes, wish.ram_bytes) << seed;
  }
}

TEST(PlanMemory, RefusesADenseModelThatDoesNotFit) {
  MemoryNeeds needs;
  needs.weights = 4 * kGiB;
  needs.scratch = 100 * kMiB;
  EXPECT_TRUE(plan_memory(shape(), needs, {}, memory(5 * kGiB)));
  auto refused = plan_memory(shape(), needs, {}, memory(3 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("the model needs at least 4.1 GiB"));
  EXPECT_THAT(refused.error().message, HasSubstr("3.0 GiB can be had (the test)"));
}

// For all sizes: a plan stays within the memory, and is refused only if the minimum does not fit.
TEST(PlanMemory, NeverPlansMoreThanThereIs) {
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    CounterRandom random(seed);
    uint64_t drawn = 0;
    auto size = [&](uint64_t most) { return random.bits(drawn++) % most; };
    MemoryNeeds needs;
    needs.weights = size(4 * kGiB);
    needs.scratch = size(kGiB);
    needs.experts = size(3) == 0 ? 0 : size(20 * kGiB) + kMiB;
    needs.stored = needs.experts + needs.experts / 50;
    needs.expert_part = needs.experts > 0 ? size(kMiB) + 4096 : 0;
    needs.loading = needs.experts > 0 ? size(300 * kMiB) : 0;
    MemoryWish wish;
    wish.context = size(2) == 0 ? static_cast<uint32_t>(size(60'000)) : 0;
    wish.kv_type = size(2) == 0 ? KvType::kF32 : KvType::kQ8_0;
    MemoryBound bound = memory(size(24 * kGiB));
    uint64_t least = needs.weights + needs.scratch + std::max(needs.expert_part, needs.loading) +
                     KvCache::bytes_for(shape(), wish.kv_type, std::max(wish.context, 1U));
    auto plan = plan_memory(shape(), needs, wish, bound);
    EXPECT_EQ(plan.ok(), least <= bound.bytes) << seed;
    if (!plan) continue;
    EXPECT_LE(taken(needs, *plan, wish.kv_type), bound.bytes) << seed;
    EXPECT_TRUE(wish.context == 0 || plan->context == wish.context) << seed;
    EXPECT_EQ(plan->ram_bytes > 0, !plan->reason.empty()) << seed;
    EXPECT_TRUE(plan->ram_bytes == 0 || plan->ram_bytes >= needs.expert_part) << seed;
  }
}

TEST(PlanPoolMemory, SharesWhatIsLeftAmongTheWorkers) {
  PoolNeeds pool{4, 256 * kMiB};
  auto plan = plan_pool_memory(shape(), large_model(), {}, pool, memory(20 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_GT(plan->ram_bytes, 3 * kGiB);
  uint64_t all = large_model().weights + large_model().scratch + pool.coordinator_bytes +
                 4 * (plan->ram_bytes + 64 * kMiB) +
                 KvCache::bytes_for(shape(), KvType::kF16, plan->context);
  EXPECT_LE(all, 20 * kGiB);
  // No more than there are experts.
  MemoryNeeds small = large_model();
  small.stored = small.experts = 100 * kMiB;
  plan = plan_pool_memory(shape(), small, {}, pool, memory(20 * kGiB));
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->ram_bytes, 116 * kMiB);
}

TEST(PlanPoolMemory, RefusesWorkersThatDoNotFit) {
  PoolNeeds pool{4, 256 * kMiB};
  MemoryWish wish{0, KvType::kF16, 8 * kGiB};
  auto refused = plan_pool_memory(shape(), large_model(), wish, pool, memory(20 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("--workers 4"), HasSubstr("--ram of 8.0 GiB"),
                    HasSubstr("20.0 GiB can be had (the test)")));
  EXPECT_TRUE(plan_pool_memory(shape(), large_model(), wish, pool, memory(40 * kGiB)));
  EXPECT_FALSE(plan_pool_memory(shape(), large_model(), {}, pool, memory(2600 * kMiB)));
}

// `serve` has no workers of its own: its weights and its cache must fit all the same.
TEST(PlanPoolMemory, LooksAtTheCoordinatorsOwnNeeds) {
  PoolNeeds pool{0, 256 * kMiB};
  EXPECT_TRUE(plan_pool_memory(shape(), large_model(), {}, pool, memory(4 * kGiB)));
  auto refused = plan_pool_memory(shape(), large_model(), {}, pool, memory(2 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("the coordinator needs at least"));
  refused =
      plan_pool_memory(shape(), large_model(), {100'000, KvType::kF16, 0}, pool, memory(4 * kGiB));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("--ctx 100000"));
}

}  // namespace
}  // namespace potluck
