// Routing as skewed as asked. How often an expert is used follows Zipf's law, each layer with an
// order of its own; a token's choice is still a matter of its own random logits:
//
//   use of the expert of rank r:  u_r = min(0.95, c / r^skew),  sum of u = top_k
//   logit = noise + offset,       noise normal,  offset = deviation of the noise * quantile(u)
//
// so that an expert passes a common threshold as often as it is to be used. The cap is there
// because a token uses an expert at most once: with few experts the most popular ones share their
// excess. What is not modeled: that neighboring tokens of a text like the same experts, and that
// experts are chosen together. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/random.h"

namespace potluck::test {

// The x below which a standard normal variable lies with the probability p, 0 < p < 1.
double normal_quantile(double p);

// Of the experts in order of popularity: the part of tokens that use each; top_k < experts.
std::vector<double> expert_uses(uint32_t experts, uint32_t top_k, double skew);

// Per expert, of one layer whose order is drawn from `random`: what is added to its logit, whose
// noise has a deviation of 1. Zeros without a skew.
std::vector<double> logit_offsets(uint32_t experts, uint32_t top_k, double skew,
                                  const CounterRandom& random);

}  // namespace potluck::test
