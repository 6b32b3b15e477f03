#include "tests/unit/engine/experts/compute_case.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/random.h"

namespace potluck::test {
namespace {

ReferenceVector as_input(const std::vector<float>& x, ActivationForm form) {
  if (form == ActivationForm::kF32) return {form, x, {}, {}};
  return reference_quantize(x, form);
}

void fill_input(ComputeCase* batch) {
  ActivationForm form = batch->shape.input_form();
  batch->input.reset(form, batch->tokens(), batch->shape.hidden);
  auto copy = [](const auto& from, auto to, uint32_t row) {
    std::copy(from.begin(), from.end(), to.begin() + static_cast<ptrdiff_t>(row * from.size()));
  };
  for (uint32_t t = 0; t < batch->tokens(); ++t) {
    ReferenceVector row = as_input(batch->x[t], form);
    if (form == ActivationForm::kF32) {
      copy(row.values, batch->input.values(), t);
      continue;
    }
    copy(row.quants, batch->input.quants(), t);
    copy(row.scales, batch->input.scales(), t);
  }
  if (form != ActivationForm::kF32) batch->input.compute_sums();
}

}  // namespace

ComputeCase make_case(const FixtureLayer& layer, uint32_t tokens, uint32_t top_k, uint64_t seed) {
  CounterRandom random(seed);
  ComputeCase batch;
  batch.layer = layer.layer;
  batch.shape = layer.shape;
  GrainRange all{0, plan_chunks(layer.shape).grains};
  for (uint32_t t = 0; t < tokens; ++t) {
    std::vector<float>& row = batch.x.emplace_back(layer.shape.hidden);
    for (uint32_t i = 0; i < row.size(); ++i) {
      row[i] = static_cast<float>(4 * random.uniform(t, i) - 2);
    }
    batch.fraction_bits.push_back(static_cast<int32_t>(18 + t % 7));
    auto first = static_cast<uint32_t>(random.bits(t, 1 << 20) % layer.experts);
    for (uint32_t k = 0; k < top_k; ++k) {
      auto weight = static_cast<float>(random.uniform(t, (1 << 20) + 1 + k));
      batch.calls.push_back({t, (first + k) % layer.experts, all, weight});
    }
  }
  fill_input(&batch);
  return batch;
}

std::vector<ExpertCall> slice_calls(const ComputeCase& batch, uint32_t slice, uint32_t slices) {
  std::vector<ExpertCall> calls = batch.calls;
  for (ExpertCall& call : calls) {
    call.grains = slice_grains(plan_chunks(batch.shape).grains, slice, slices);
  }
  return calls;
}

ExpertSums compute(const ComputeCase& batch, std::span<const ExpertCall> calls,
                   const KernelTable& kernels, int threads, GrainSource& source) {
  ThreadPool pool(threads);
  ExpertCompute expert_compute(kernels, pool);
  ExpertSums sums;
  sums.reset(batch.tokens(), batch.shape.hidden);
  Status status = expert_compute.run(batch.layer, batch.shape, batch.input.view(),
                                     batch.fraction_bits, calls, source, &sums);
  CHECK(status.ok());
  return sums;
}

ExpertSums reference_sums(const ComputeCase& batch, const ExpertFixture& fixture) {
  ExpertSums sums;
  sums.reset(batch.tokens(), batch.shape.hidden);
  ChunkPlan plan = plan_chunks(batch.shape);
  for (const ExpertCall& call : batch.calls) {
    SourceExpert expert = fixture.expert(batch.layer, call.expert);
    ReferenceVector x = as_input(batch.x[call.row], batch.shape.input_form());
    ReferenceRow row{&x, call.weight, batch.fraction_bits[call.row]};
    int64_t* to = sums.sums.data() + uint64_t{call.row} * batch.shape.hidden;
    uint32_t first = call.grains.first * plan.chunks_per_grain;
    uint32_t end =
        std::min(plan.chunks, (call.grains.first + call.grains.count) * plan.chunks_per_grain);
    if (!reference_expert(batch.shape, expert, first, end, row, to)) sums.flags[call.row] = 1;
  }
  return sums;
}

void add_sums(const ExpertSums& part, ExpertSums* total) {
  for (size_t i = 0; i < part.sums.size(); ++i) total->sums[i] += part.sums[i];
  for (size_t i = 0; i < part.flags.size(); ++i) total->flags[i] |= part.flags[i];
}

bool same_sums(const ExpertSums& a, const ExpertSums& b) {
  return a.sums == b.sums && a.flags == b.flags;
}

std::vector<FixtureLayer> compute_layers() {
  using T = TensorType;
  std::vector<FixtureLayer> layers = {
      {0, 3, {48, 40, T::kF32, T::kF32, T::kF32, true, {}}},
      {1, 3, {40, 320, T::kF16, T::kBF16, T::kF16, false, {}}},
      {2, 3, {64, 320, T::kQ8_0, T::kQ8_0, T::kQ8_0, true, {}}},
      {3, 3, {96, 256, T::kQ4_0, T::kQ8_0, T::kQ4_0, false, {}}},
      {4, 3, {256, 768, T::kQ4_K, T::kQ4_K, T::kQ6_K, false, {}}},
      {5, 3, {512, 256, T::kQ6_K, T::kQ6_K, T::kQ4_K, true, {}}},
      {6, 3, {256, 512, T::kQ4_K, T::kQ8_0, T::kQ4_K, false, {}}},  // blocks of 32 for both
      {7, 3, {256, 96, T::kF16, T::kQ4_K, T::kQ8_0, true, {}}},     // f32 in, one part quantized
      {8, 3, {32, 2048, T::kQ8_0, T::kF32, T::kF32, true, {}}},     // two chunks to a grain
  };
  // Every other quantized format; chunks of 96 cut super-blocks at every phase.
  for (const BlockFormat& format : block_formats()) {
    if (!format.quantized() || format.type == T::kQ8_0) continue;
    ExpertShape shape{256, 768, format.type, format.type, format.type, false, {}};
    layers.push_back({static_cast<uint32_t>(layers.size()), 2, shape});
  }
  // Other activations; gate and up in one tensor; no gate.
  auto add = [&](const ExpertShape& shape, bool joined) {
    layers.push_back({static_cast<uint32_t>(layers.size()), 3, shape, joined});
  };
  add({48, 96, T::kF16, T::kF16, T::kF32, false, ExpertActivation::kGeGlu}, true);
  add({256, 512, T::kQ4_K, T::kQ4_K, T::kQ6_K, false, ExpertActivation::kGeGlu}, true);
  add({64, 320, T::kQ8_0, T::kQ8_0, T::kQ8_0, true, ExpertActivation::kReGlu}, false);
  add({64, 96, T::kF32, T::kF32, T::kF32, false, ExpertActivation::kReluSquared}, false);
  add({256, 768, T::kQ4_K, T::kQ4_K, T::kQ8_0, false, ExpertActivation::kReluSquared}, false);
  add({64, 320, T::kF32, T::kF16, T::kF32, true, ExpertActivation::kSwiGluClampBefore, 0.5F},
      false);
  add({256, 512, T::kQ4_K, T::kQ4_K, T::kQ6_K, false, ExpertActivation::kSwiGluClampAfter, 0.25F},
      true);
  // With scales, and with biases too.
  add({256, 512, T::kNVFP4, T::kNVFP4, T::kNVFP4, false, ExpertActivation::kSwiGlu, 0, true},
      false);
  add({64, 320, T::kQ8_0, T::kQ8_0, T::kF16, true, ExpertActivation::kSwiGlu, 0, true}, false);
  return layers;
}

}  // namespace potluck::test
