// ExpertBank: where the experts of one layer are in the GGUF file. Filled by the architecture
// (engine/model), read by the code that cuts grains. Refers to tensors of a GgufModel that must
// outlive it; immutable; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/experts/expert_shape.h"
#include "engine/gguf/gguf.h"

namespace potluck {

struct ExpertBank {
  uint32_t layer = 0;
  uint32_t experts = 0;
  ExpertShape shape;
  const GgufTensor* gate = nullptr;        // [experts, width, hidden]; null: there is no gate
  const GgufTensor* up = nullptr;          // [experts, width, hidden]
  const GgufTensor* down = nullptr;        // [experts, hidden, width]
  const GgufTensor* gate_bias = nullptr;   // [experts, width], or null; the three come together
  const GgufTensor* up_bias = nullptr;     // [experts, width]
  const GgufTensor* down_bias = nullptr;   // [experts, hidden]
  const GgufTensor* gate_scale = nullptr;  // [experts], or null: 1
  const GgufTensor* up_scale = nullptr;    // likewise
  const GgufTensor* down_scale = nullptr;

  // Those that there are.
  std::vector<const GgufTensor*> tensors() const;
};

// Compares the tensors with the shape: types, dimensions, limits. The error names the tensor.
Status check_expert_bank(const ExpertBank& bank);

}  // namespace potluck
