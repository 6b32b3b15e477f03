// Models whose matrices are in one block format: the token embedding (which is also the output),
// attention and experts. That a format's own products are right is shown in engine/kernels.
#include <cmath>

#include <gtest/gtest.h>

#include "engine/experts/expert_compute.h"
#include "engine/model/step_run.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::TinyModel;

// All experts are used, so that no rounding can choose others.
TinyModel model_of(TensorType type) {
  TinyModel tiny("qwen3moe");
  tiny.tensors.erase("output.weight");
  tiny.counts["expert_used_count"] = TinyModel::kExperts;
  for (const char* part : {"token_embd", "attn_q.", "attn_k.", "attn_v.", "attn_output", "_exps"}) {
    tiny.quantize(part, type);
  }
  return tiny;
}

std::vector<float> logits_of(const TinyModel& tiny, const KernelTable& kernels) {
  std::unique_ptr<Model> model = std::move(*tiny.load());
  auto source = std::move(*ResidentSource::load(model->cutter(), {}));
  ThreadPool pool(1);
  ExpertCompute compute(kernels, pool);
  LocalExecutor executor(model->cutter(), *source, compute);
  Forward forward(*model, kernels, pool);
  KvCache cache(model->config(), KvType::kF32, 256);
  const ForwardRow rows[] = {{1, 0, &cache, false}, {30, 1, &cache, false}, {7, 2, &cache, true}};
  EXPECT_TRUE(run_step(forward, rows, executor).ok());
  std::span<const float> logits = forward.logits(0);
  return {logits.begin(), logits.end()};
}

TEST(ModelInBlockFormats, IsTheModelOfTheDecodedValues) {
  size_t formats = 0;
  for (const BlockFormat& format : block_formats()) {
    if (format.block_elements != TinyModel::kHidden) continue;
    ++formats;
    SCOPED_TRACE(std::string(format.name));
    TinyModel tiny = model_of(format.type);
    std::vector<float> logits = logits_of(tiny, *available_kernels().front());
    for (const KernelTable* kernels : available_kernels()) {
      EXPECT_EQ(logits_of(tiny, *kernels), logits) << kernels->name;
    }
    tiny.store_blocks = false;
    std::vector<float> expected = logits_of(tiny, *available_kernels().front());
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error += std::pow(double{logits[i]} - expected[i], 2);
      norm += std::pow(double{expected[i]}, 2);
    }
    EXPECT_GT(norm, 0);
    // Activations of 8 bits. Random blocks with an addend have values of one sign: sums of products
    // cancel, and what rounding leaves weighs more.
    EXPECT_LT(std::sqrt(error / norm), format.numbers.minimums ? 1e-1 : 2e-2);
  }
  EXPECT_EQ(formats, 7u);
}

}  // namespace
}  // namespace potluck
