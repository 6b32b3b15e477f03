// The order of steps is that of the published models: the bias for choosing never reaches the
// weights (DeepSeek-V3, auxiliary-loss-free balancing), and groups are dropped before experts are
// chosen.
#include "engine/model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/check.h"
#include "engine/kernels/exact_math.h"
#include "engine/model/softplus.h"

namespace potluck {
namespace {

// The smallest sum the chosen probabilities are divided by: the least normal half-precision number,
// which llama.cpp uses as well.
constexpr float kSmallestSum = 6.103515625e-5F;
constexpr float kTaken = -std::numeric_limits<float>::infinity();
// How far below the largest logit, in parts of it, others count in the sparse mixer: twice the
// jitter of training. Files do not say it.
constexpr float kSparseMixerReach = 0.02F;

// For logits that have no order: the router's weights or input are broken. Which experts are named
// does not matter; the weights of NaN fail the row.
void route_nowhere(std::span<uint32_t> experts, std::span<float> weights) {
  for (uint32_t i = 0; i < experts.size(); ++i) experts[i] = i;
  std::fill(weights.begin(), weights.end(), std::numeric_limits<float>::quiet_NaN());
}

// The first of the largest, so ties go to the lower id; taken ones are below all others. top_k is
// at most 64: a scan for each beats a sort.
uint32_t largest_of(std::span<const float> scores) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < scores.size(); ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

// In place; false if the values have no order.
bool softmax(const KernelTable& kernels, std::span<float> values) {
  float largest = values[0];
  for (float value : values) largest = std::max(largest, value);
  float total = kernels.exp_sum(values.data(), static_cast<uint32_t>(values.size()), largest);
  // The largest value alone gives exp(0) = 1; less, or NaN, means that there was no largest one.
  if (!(total >= 1.0F)) return false;
  for (float& value : values) value /= total;
  return true;
}

// Turns logits, in place, into the values that experts are chosen by before the selection bias.
bool gate(Gating gating, const KernelTable& kernels, std::span<float> values) {
  if (gating == Gating::kSoftmax) return softmax(kernels, values);
  for (float& value : values) {
    if (!std::isfinite(value)) return false;
    if (gating == Gating::kSigmoid) value = exact_sigmoid(value);
    if (gating == Gating::kSqrtSoftplus) value = std::sqrt(softplus(value));
  }
  return true;
}

// The score of a group: its best score, or the sum of its best two.
float group_score(std::span<const float> scores, bool best_two) {
  float best = kTaken;
  float second = kTaken;
  for (float score : scores) {
    second = std::max(second, std::min(best, score));
    best = std::max(best, score);
  }
  return best_two && scores.size() > 1 ? best + second : best;
}

// Takes the experts of all but the best groups out of the choice.
void keep_best_groups(const RouterConfig& config, std::span<float> scores) {
  uint32_t size = config.experts / config.groups;
  for (uint32_t dropped = config.groups_used; dropped < config.groups; ++dropped) {
    uint32_t worst = 0;
    float worst_score = std::numeric_limits<float>::infinity();
    for (uint32_t group = 0; group < config.groups; ++group) {
      std::span<float> members = scores.subspan(uint64_t{group} * size, size);
      // Groups are taken out as a whole, and no score that counts is -inf.
      if (members[0] == kTaken) continue;
      float score = group_score(members, config.groups_by_best_two);
      if (score > worst_score) continue;  // ties: the higher group goes
      worst = group;
      worst_score = score;
    }
    std::ranges::fill(scores.subspan(uint64_t{worst} * size, size), kTaken);
  }
}

void choose(const RouterConfig& config, std::span<const float> probabilities,
            std::span<float> scores, std::span<uint32_t> experts, std::span<float> weights) {
  if (config.groups > 1) keep_best_groups(config, scores);
  for (uint32_t rank = 0; rank < config.top_k; ++rank) {
    uint32_t best = largest_of(scores);
    experts[rank] = best;
    weights[rank] = probabilities[best];
    scores[best] = kTaken;
  }
}

void finish_weights(const RouterConfig& config, std::span<float> weights) {
  if (config.normalize_weights) {
    float sum = 0;
    for (float weight : weights) sum += weight;
    float divisor = std::max(sum, kSmallestSum);
    for (float& weight : weights) weight /= divisor;
  }
  if (config.weight_scale == 1.0F) return;
  for (float& weight : weights) weight *= config.weight_scale;
}

// In place of all that follows the logits: scores are those of the experts that are left,
// `nearby` is scratch. False if the logits have no order.
bool mix_sparsely(const RouterConfig& config, const KernelTable& kernels, std::span<float> scores,
                  std::span<float> nearby, std::span<uint32_t> experts, std::span<float> weights) {
  for (float score : scores) {
    if (!std::isfinite(score)) return false;
  }
  for (uint32_t rank = 0; rank < config.top_k; ++rank) {
    uint32_t best = largest_of(scores);
    const float largest = scores[best];
    for (size_t i = 0; i < scores.size(); ++i) {
      const float distance = (largest - scores[i]) / std::max(std::abs(scores[i]), largest);
      // Of 0 and 0 there is no quotient, and both count.
      nearby[i] = distance > kSparseMixerReach ? kTaken : scores[i];
    }
    experts[rank] = best;
    weights[rank] =
        1.0F / kernels.exp_sum(nearby.data(), static_cast<uint32_t>(nearby.size()), largest);
    scores[best] = kTaken;
  }
  return true;
}

}  // namespace

void route(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           const RouterBiases& biases, const RouterScratch& scratch, std::span<uint32_t> experts,
           std::span<float> weights) {
  CHECK(logits.size() == config.experts && scratch.probabilities.size() == config.experts);
  CHECK(scratch.scores.size() == config.experts);
  CHECK(experts.size() == config.top_k && weights.size() == config.top_k);
  std::ranges::copy(logits, scratch.probabilities.begin());
  for (size_t i = 0; i < biases.logits.size(); ++i) scratch.probabilities[i] += biases.logits[i];
  if (config.gating == Gating::kSparseMixer) {
    std::ranges::copy(scratch.probabilities, scratch.scores.begin());
    bool mixed =
        mix_sparsely(config, kernels, scratch.scores, scratch.probabilities, experts, weights);
    return mixed ? finish_weights(config, weights) : route_nowhere(experts, weights);
  }
  if (!gate(config.gating, kernels, scratch.probabilities)) return route_nowhere(experts, weights);
  std::ranges::copy(scratch.probabilities, scratch.scores.begin());
  for (size_t i = 0; i < biases.selection.size(); ++i) scratch.scores[i] += biases.selection[i];
  choose(config, scratch.probabilities, scratch.scores, experts, weights);
  if (config.gating == Gating::kSigmoidOfChosen) {
    for (float& weight : weights) weight = exact_sigmoid(weight);
  }
  if (config.gating == Gating::kSoftmaxOfChosen && !softmax(kernels, weights)) {
    return route_nowhere(experts, weights);
  }
  finish_weights(config, weights);
}

void weigh(const RouterConfig& config, const KernelTable& kernels, std::span<const float> logits,
           const RouterBiases& biases, const RouterScratch& scratch,
           std::span<const uint32_t> experts, std::span<float> weights) {
  CHECK(logits.size() == config.experts && scratch.probabilities.size() == config.experts);
  std::ranges::copy(logits, scratch.probabilities.begin());
  for (size_t i = 0; i < biases.logits.size(); ++i) scratch.probabilities[i] += biases.logits[i];
  if (!gate(config.gating, kernels, scratch.probabilities)) {
    std::ranges::fill(weights, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  for (size_t i = 0; i < experts.size(); ++i) weights[i] = scratch.probabilities[experts[i]];
  finish_weights(config, weights);
}

}  // namespace potluck
