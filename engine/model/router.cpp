#include "engine/model/router.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"

namespace potluck {
namespace {

// The smallest sum the chosen probabilities are divided by: the least normal half-precision number.
constexpr float kSmallestSum = 6.103515625e-5F;
constexpr float kTaken = -1.0F;

// Probabilities that no order can be made of: the router's weights or input are broken. The experts
// are any; the weights say that they must not be used.
void route_nowhere(std::span<uint32_t> experts, std::span<float> weights) {
  for (uint32_t i = 0; i < experts.size(); ++i) experts[i] = i;
  std::fill(weights.begin(), weights.end(), std::numeric_limits<float>::quiet_NaN());
}

// The first of the largest; taken ones are below all others.
uint32_t largest_of(std::span<const float> probabilities) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < probabilities.size(); ++i) {
    if (probabilities[i] > probabilities[best]) best = i;
  }
  return best;
}

}  // namespace

void route(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           std::span<float> probabilities, std::span<uint32_t> experts, std::span<float> weights) {
  CHECK(logits.size() == config.experts && probabilities.size() == config.experts);
  CHECK(experts.size() == config.top_k && weights.size() == config.top_k);
  float largest = logits[0];
  for (float logit : logits) largest = std::max(largest, logit);
  std::copy(logits.begin(), logits.end(), probabilities.begin());
  float total = kernels.exp_sum(probabilities.data(), config.experts, largest);
  if (!(total >= 1.0F)) return route_nowhere(experts, weights);
  for (float& probability : probabilities) probability /= total;
  float sum = 0;
  for (uint32_t rank = 0; rank < config.top_k; ++rank) {
    uint32_t best = largest_of(probabilities);
    experts[rank] = best;
    weights[rank] = probabilities[best];
    probabilities[best] = kTaken;
    sum += weights[rank];
  }
  if (!config.normalize_weights) return;
  float divisor = std::max(sum, kSmallestSum);
  for (float& weight : weights) weight /= divisor;
}

}  // namespace potluck
