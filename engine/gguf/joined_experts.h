// Experts in files from before April 2024: each has tensors of its own, "blk.0.ffn_gate.3.weight".
// Joined they are what newer files hold, "blk.0.ffn_gate_exps.weight". Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"

namespace potluck {

// The name of one expert's tensor: part is "gate", "up" or "down".
std::string expert_tensor_name(uint32_t layer, std::string_view part, uint32_t expert);

// Puts one tensor of several pieces in the place of each layer's tensors of one part; all others
// stay as they are. A gap in the numbers, experts that differ in shape or format, and both forms
// side by side are errors that name the tensor.
Status join_experts(std::vector<GgufTensor>* tensors);

}  // namespace potluck
