#include "tests/support/model_maker/routing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"

namespace potluck::test {
namespace {

constexpr double kMostUse = 0.95;

}  // namespace

double normal_quantile(double p) {
  CHECK(p > 0 && p < 1);
  double low = -40;
  double high = 40;
  for (int step = 0; step < 100; ++step) {
    double middle = (low + high) / 2;
    bool is_below = std::erfc(-middle / std::sqrt(2.0)) / 2 < p;
    (is_below ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<double> expert_uses(uint32_t experts, uint32_t top_k, double skew) {
  CHECK(top_k < experts);
  std::vector<double> uses(experts);
  double low = 0;
  double high = experts * std::pow(experts, skew);
  for (int step = 0; step < 200; ++step) {
    double factor = (low + high) / 2;
    for (uint32_t rank = 0; rank < experts; ++rank) {
      uses[rank] = std::min(kMostUse, factor / std::pow(rank + 1, skew));
    }
    bool too_few = std::accumulate(uses.begin(), uses.end(), 0.0) < top_k;
    (too_few ? low : high) = factor;
  }
  return uses;
}

std::vector<double> logit_offsets(uint32_t experts, uint32_t top_k, double skew,
                                  const CounterRandom& random) {
  std::vector<double> offsets(experts, 0.0);
  if (skew == 0 || top_k >= experts) return offsets;
  std::vector<uint32_t> order(experts);
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](uint32_t expert) { return random.bits(expert); });
  std::vector<double> uses = expert_uses(experts, top_k, skew);
  for (uint32_t rank = 0; rank < experts; ++rank) {
    offsets[order[rank]] = normal_quantile(uses[rank]);
  }
  return offsets;
}

}  // namespace potluck::test
