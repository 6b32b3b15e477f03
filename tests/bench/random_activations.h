// What benchmarks of products multiply with. Any values do: the speed does not depend on them.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/base/random.h"
#include "engine/kernels/kernels.h"

namespace potluck {

// Rows of `columns` values between -0.5 and 0.5, in this form.
inline ActivationBuffer random_activations(const KernelTable& kernels, ActivationForm form,
                                           uint32_t tokens, uint32_t columns) {
  ActivationBuffer x;
  x.reset(form, tokens, columns);
  std::vector<float> values(uint64_t{tokens} * columns);
  CounterRandom random(2);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(random.uniform(i)) - 0.5F;
  }
  if (form == ActivationForm::kF32) {
    std::copy(values.begin(), values.end(), x.values().begin());
  } else {
    kernels.quantize(values.data(), tokens * columns, activation_block(form), x.quants().data(),
                     x.scales().data(), x.sums().data());
  }
  return x;
}

}  // namespace potluck
