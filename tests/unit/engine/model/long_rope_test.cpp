// LongRoPE: two lists of divisors, of which the context decides. What they compute is compared with
// another implementation in tests/golden (phimoe-longrope-long and -short).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/experts/expert_compute.h"
#include "engine/model/step_run.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;
using ::testing::HasSubstr;

constexpr uint32_t kOriginal = 64;
const std::vector<float> kStretched = {1, 2, 4, 8};
const std::vector<float> kPlain = {1, 1, 1, 1};

TinyModel model_with(const std::vector<float>& short_list, const std::vector<float>& long_list) {
  TinyModel tiny("qwen3moe");
  tiny.counts["rope.scaling.original_context_length"] = kOriginal;
  tiny.numbers["rope.scaling.attn_factor"] = 1.25F;
  tiny.add("rope_factors_short.weight", {4});
  tiny.add("rope_factors_long.weight", {4});
  tiny.tensors["rope_factors_short.weight"].values = short_list;
  tiny.tensors["rope_factors_long.weight"].values = long_list;
  return tiny;
}

// After three tokens in a context of so many positions.
std::vector<float> logits_of_long(const TinyModel& tiny, uint32_t context) {
  std::unique_ptr<Model> model = std::move(*tiny.load());
  auto source = std::move(*ResidentSource::load(model->cutter(), {}));
  ThreadPool pool(1);
  const KernelTable& kernels = *available_kernels().front();
  ExpertCompute compute(kernels, pool);
  LocalExecutor executor(model->cutter(), *source, compute);
  Forward forward(*model, kernels, pool);
  KvCache cache(model->config(), KvType::kF32, context);
  const ForwardRow rows[] = {{1, 0, &cache, false}, {30, 1, &cache, false}, {7, 2, &cache, true}};
  EXPECT_TRUE(run_step(forward, rows, executor).ok());
  std::span<const float> logits = forward.logits(0);
  return {logits.begin(), logits.end()};
}

TEST(LongRope, TheContextDecidesWhichDivisorsCount) {
  const TinyModel tiny = model_with(kPlain, kStretched);
  const std::vector<float> in_short = logits_of_long(tiny, kOriginal);
  const std::vector<float> in_long = logits_of_long(tiny, kOriginal + 1);
  EXPECT_NE(in_short, in_long);
  EXPECT_EQ(in_short, logits_of_long(model_with(kPlain, kPlain), kOriginal + 1));
  EXPECT_EQ(in_long, logits_of_long(model_with(kStretched, kPlain), kOriginal));
}

TEST(LongRope, TheNamedKindNeedsItsLists) {
  TinyModel tiny = model_with(kPlain, kStretched);
  tiny.texts["qwen3moe.rope.scaling.type"] = "longrope";
  EXPECT_TRUE(tiny.load().ok());
  tiny.tensors.erase("rope_factors_short.weight");
  auto model = tiny.load();
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, HasSubstr("rope_factors_short.weight is missing"));
}

TEST(LongRope, RefusesWhatMakesNoSense) {
  auto message = [](const TinyModel& tiny) {
    auto model = tiny.load();
    return model ? std::string("accepted") : model.error().message;
  };
  EXPECT_THAT(message(model_with({1, 1, 0, 1}, kPlain)), HasSubstr("rope_factors_short.weight"));
  EXPECT_THAT(message(model_with(kPlain, {1, 1, 1, INFINITY})),
              HasSubstr("rope_factors_long.weight"));
  TinyModel too_few = model_with(kPlain, kPlain);
  too_few.add("rope_factors_long.weight", {2});
  EXPECT_THAT(message(too_few), HasSubstr("rope_factors_long.weight should be 4, but is 2"));
  TinyModel without_context = model_with(kPlain, kPlain);
  without_context.counts.erase("rope.scaling.original_context_length");
  EXPECT_THAT(message(without_context), HasSubstr("rope.scaling.original_context_length"));
  // Lists that the named kind does not use would be ignored.
  TinyModel other_kind = model_with(kPlain, kPlain);
  other_kind.texts["qwen3moe.rope.scaling.type"] = "none";
  EXPECT_THAT(message(other_kind), HasSubstr("has no place"));
}

}  // namespace
}  // namespace potluck
