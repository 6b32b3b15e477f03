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

// Powers of two leave all other bits alone: scales give what weights give that were multiplied
// beforehand.
TEST(ModelInBlockFormats, ScalesOfMatricesAreThoseOfTheirWeights) {
  TinyModel tiny("qwen3moe");
  TinyModel multiplied = tiny;
  auto put = [&](const std::string& matrix, std::vector<float> scales) {
    std::vector<float>& values = multiplied.tensors[matrix + ".weight"].values;
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] *= scales[i * scales.size() / values.size()];
    }
    tiny.add(matrix + ".scale", {scales.size()});
    tiny.add(matrix + ".input_scale", {scales.size()});
    tiny.tensors[matrix + ".scale"].values = std::move(scales);
  };
  for (const char* part : {"attn_q", "attn_v", "attn_output"})
    put(std::string("blk.1.") + part, {4});
  put("output", {0.5F});
  std::vector<float> of_experts(TinyModel::kExperts);
  for (size_t i = 0; i < of_experts.size(); ++i)
    of_experts[i] = std::exp2f(static_cast<float>(i) - 3);
  for (const char* part : {"gate", "up", "down"}) {
    put(std::string("blk.0.ffn_") + part + "_exps", of_experts);
  }
  for (const KernelTable* kernels : available_kernels()) {
    EXPECT_EQ(logits_of(tiny, *kernels), logits_of(multiplied, *kernels)) << kernels->name;
  }
}

TEST(ModelInBlockFormats, ScalesThatMakeNoSenseAreRefusedByName) {
  auto message = [](const char* name, std::vector<uint64_t> dimensions, float value) {
    TinyModel tiny("qwen3moe");
    tiny.add(name, std::move(dimensions));
    for (float& number : tiny.tensors[name].values) number = value;
    auto model = tiny.load();
    return model ? std::string("accepted") : model.error().message;
  };
  EXPECT_EQ(message("blk.0.attn_q.scale", {1}, 2), "accepted");
  for (const char* name :
       {"blk.0.attn_q.scale", "blk.0.ffn_up_exps.scale", "blk.0.attn_q.input_scale",
        "blk.0.ffn_gate_up_exps.scale", "blk.0.attn_norm.scale"}) {
    EXPECT_NE(message(name, {2}, 1).find(name), std::string::npos) << name;
  }
  EXPECT_NE(message("blk.0.attn_q.scale", {1}, INFINITY).find("finite"), std::string::npos);
}

}  // namespace
}  // namespace potluck
