// The router: which experts a token goes to, and with what weight. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

namespace potluck {

// From the logits of one token ([experts]) to the chosen experts and their weights, in rank order:
// softmax over all experts, the top_k largest (ties to the lower id), divided by their sum where
// the model asks for it (a sum below 6.103515625e-5 counts as that). `probabilities` is scratch
// [experts]. Logits without an order (NaN, +infinity) give experts 0..top_k-1 and weights of NaN.
void route(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           std::span<float> probabilities, std::span<uint32_t> experts, std::span<float> weights);

}  // namespace potluck
