// Experts of which gate and up lie in one tensor, "blk.0.ffn_gate_up_exps.weight": of each expert
// the rows of its gate, then those of up. Split they are what most files hold,
// "blk.0.ffn_gate_exps" and "blk.0.ffn_up_exps". Pure function; any thread.
#pragma once

#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"

namespace potluck {

// Puts two tensors of several pieces in the place of each such tensor; all others stay as they are.
// A shape that cannot be halved, and both forms side by side, are errors that name the tensor.
Status split_gate_up(std::vector<GgufTensor>* tensors);

}  // namespace potluck
