#include "coordinator/runtime/prefill_chunk.h"

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// The shape of Qwen3-30B-A3B.
ModelConfig streamed_shape() {
  ModelConfig config;
  config.layers = 48;
  config.hidden = 2048;
  config.heads = 32;
  config.kv_heads = 4;
  config.head_dim = config.value_dim = 128;
  config.router.experts = 128;
  config.router.top_k = 8;
  config.vocabulary = 151936;
  config.trained_context = 40960;
  return config;
}

constexpr StepSize kUsualStep{PrefillChunk::kUsual, 1, 2};

TEST(PrefillChunk, TakesAsMuchOfAPromptAsMemoryAllows) {
  const PrefillChunk ample = plan_prefill_chunk(streamed_shape(), kUsualStep, 1, 16 * kGiB);
  EXPECT_EQ(ample.rows(true), limits::kPrefillChunk);
  EXPECT_EQ(ample.rows(false), PrefillChunk::kUsual) << "nothing to be gained in memory";
  EXPECT_EQ(plan_prefill_chunk(streamed_shape(), kUsualStep, 1, 0).rows(true),
            PrefillChunk::kUsual);
  uint32_t least = limits::kPrefillChunk;
  for (uint64_t free = 8 * kGiB; free > 0; free /= 2) {
    const uint32_t rows = plan_prefill_chunk(streamed_shape(), kUsualStep, 1, free).rows(true);
    const StepSize step{rows, 1, 2};
    EXPECT_LE(step_memory(streamed_shape(), step) - step_memory(streamed_shape(), kUsualStep),
              free / 2);
    EXPECT_LE(rows, least);
    least = rows;
  }
  EXPECT_EQ(least, PrefillChunk::kUsual);
}

TEST(PrefillChunk, SeveralStepsShareTheMemory) {
  const uint64_t free = 2 * kGiB;
  EXPECT_LT(plan_prefill_chunk(streamed_shape(), kUsualStep, 8, free).rows(true),
            plan_prefill_chunk(streamed_shape(), kUsualStep, 1, free).rows(true));
}

}  // namespace
}  // namespace potluck
