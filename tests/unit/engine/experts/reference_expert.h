// The arithmetic of an expert as the contract words it (docs/ARITHMETIC.md, 8), straight from
// the tensors of the file: plain loops, no panels, no grains, no kernels. What ExpertCompute must
// give bit for bit. Test code, one thread.
#pragma once

#include <vector>

#include "engine/kernels/activations.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck::test {

// One vector as a product reads it.
struct ReferenceVector {
  ActivationForm form = ActivationForm::kF32;
  std::vector<float> values;   // kF32
  std::vector<int8_t> quants;  // else, padded with zeros to whole blocks
  std::vector<float> scales;
};

// In blocks of 32 or 256.
ReferenceVector reference_quantize(const std::vector<float>& x, ActivationForm form);

// What one token row gives one expert: `x` is in shape.input_form().
struct ReferenceRow {
  const ReferenceVector* x = nullptr;
  float weight = 0;
  int32_t fraction_bits = 0;
};

// Adds the chunks [first, end) of the expert to `sums` ([hidden]); false if an addend left its
// range.
bool reference_expert(const ExpertShape& shape, const SourceExpert& expert, uint32_t first,
                      uint32_t end, const ReferenceRow& row, int64_t* sums);

// The expert's output in float64, nothing quantized on the way: silu(gate x) * up x through down,
// for x as it was handed over.
std::vector<double> float64_expert(const ExpertShape& shape, const SourceExpert& expert,
                                   const std::vector<double>& x);

}  // namespace potluck::test
