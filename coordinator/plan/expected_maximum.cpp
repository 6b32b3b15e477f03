// The distribution function of the maximum is the product of the single ones: walked from the
// smallest value to the largest, each of them changes one factor.
#include "coordinator/plan/expected_maximum.h"

#include <algorithm>
#include <cmath>

namespace potluck {
namespace {

struct Step {
  double time;
  size_t of;
  double probability;
};

}  // namespace

double expected_maximum(const std::vector<RandomTime>& times) {
  std::vector<Step> steps;
  for (size_t i = 0; i < times.size(); ++i) {
    for (const RandomTime::Value& value : times[i].values) {
      if (value.probability > 0) steps.push_back({value.time, i, value.probability});
    }
  }
  std::sort(steps.begin(), steps.end(),
            [](const Step& a, const Step& b) { return a.time < b.time; });
  std::vector<double> reached(times.size(), 0);  // of each distribution function
  size_t at_zero = times.size();
  double log_product = 0;  // of those above zero
  double before = 0;
  double expected = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    double& factor = reached[step.of];
    double count = times[step.of].count;
    if (factor == 0) {
      --at_zero;
    } else {
      log_product -= count * std::log(factor);
    }
    factor = std::min(1.0, factor + step.probability);
    log_product += count * std::log(factor);
    if (i + 1 < steps.size() && steps[i + 1].time == step.time) continue;
    double now = at_zero > 0 ? 0 : std::exp(log_product);
    expected += step.time * std::max(0.0, now - before);
    before = std::max(before, now);
  }
  // Probabilities that add up to a little less than 1 lack the end of the largest value.
  if (!steps.empty()) expected += steps.back().time * std::max(0.0, 1 - before);
  return expected;
}

std::vector<double> binomial(uint32_t n, double p) {
  p = std::clamp(p, 0.0, 1.0);
  std::vector<double> distribution(n + 1, 0);
  distribution[0] = 1;
  for (uint32_t trial = 0; trial < n; ++trial) {
    for (uint32_t k = trial + 1; k > 0; --k) {
      distribution[k] = distribution[k] * (1 - p) + distribution[k - 1] * p;
    }
    distribution[0] *= 1 - p;
  }
  return distribution;
}

}  // namespace potluck
