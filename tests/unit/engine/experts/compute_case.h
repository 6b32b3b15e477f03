// A batch for the tests of ExpertCompute: random token rows, routed at random over the experts of
// one layer, and ways to compute it. Test code, one thread.
#pragma once

#include <vector>

#include "engine/experts/expert_compute.h"
#include "tests/unit/engine/experts/reference_expert.h"

namespace potluck::test {

struct ComputeCase {
  uint32_t layer = 0;
  ExpertShape shape;
  std::vector<std::vector<float>> x;  // [tokens, hidden], before it is quantized
  ActivationBuffer input;             // the same, in shape.input_form()
  std::vector<int32_t> fraction_bits;
  std::vector<ExpertCall> calls;  // all grains of each expert

  uint32_t tokens() const { return static_cast<uint32_t>(x.size()); }
};

// `top_k` different experts for each row; the input is quantized by the reference.
ComputeCase make_case(const FixtureLayer& layer, uint32_t tokens, uint32_t top_k, uint64_t seed);

// The calls with their grains cut down to a slice.
std::vector<ExpertCall> slice_calls(const ComputeCase& batch, uint32_t slice, uint32_t slices);

// One run into fresh sums; must succeed.
ExpertSums compute(const ComputeCase& batch, std::span<const ExpertCall> calls,
                   const KernelTable& kernels, int threads, GrainSource& source);

// What the reference gives for the case's calls.
ExpertSums reference_sums(const ComputeCase& batch, const ExpertFixture& fixture);

void add_sums(const ExpertSums& part, ExpertSums* total);
bool same_sums(const ExpertSums& a, const ExpertSums& b);

// Formats, pure and mixed, with widths that give whole, short and out-of-phase chunks.
std::vector<FixtureLayer> compute_layers();

}  // namespace potluck::test
