// The router: which experts a token goes to, and with what weight. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

namespace potluck {

// Numbers of one router beside its matrix; empty where the model has none.
struct RouterBiases {
  std::span<const float> logits;     // [experts]
  std::span<const float> selection;  // [experts]
};

// Scratch of one call.
struct RouterScratch {
  std::span<float> probabilities;  // [experts]
  std::span<float> scores;         // [experts]
};

// From the logits of one token ([experts]) to the chosen experts and their weights, in rank order:
//
//   p = softmax, sigmoid or sqrt(softplus) of (logits + bias), or just that sum (softmax, sigmoid
//   of
//       the chosen)
//   s = p + selection bias;  of several groups only the best count
//   experts = the top_k largest s, ties to the lower id;  w = p of those
//   softmax of the chosen: w = softmax(w); sigmoid of the chosen: w = sigmoid(w)
//   where the model asks for it: w = w / max(sum of w, 6.103515625e-5)
//   w = w * scale
//
// The sparse mixer (Liu et al., 2023; Phi-3.5-MoE) takes the largest logit m of those not taken
// yet, top_k times. The weight is that of m in a softmax over the experts not taken yet that are
// close to it: where (m - l) / max(|l|, m) is at most 0.02. It is normalized and scaled like the
// others.
//
// weigh() takes the experts as they are (token_experts.h) and gives weights alike: w = p of those.
//
// A group's score is its best s, or the sum of its best two; ties go to the lower group. Logits
// without an order (NaN, +infinity) give experts 0..top_k-1 and weights of NaN.
void route(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           const RouterBiases& biases, const RouterScratch& scratch, std::span<uint32_t> experts,
           std::span<float> weights);
void weigh(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           const RouterBiases& biases, const RouterScratch& scratch,
           std::span<const uint32_t> experts, std::span<float> weights);

}  // namespace potluck
