#include "engine/model/log_probabilities.h"

#include <algorithm>
#include <numeric>

#include "engine/kernels/exact_math.h"
#include "engine/model/sampler.h"

namespace potluck {

LogProbabilities::LogProbabilities(std::span<const float> logits)
    : logits_(logits), largest_(logits[static_cast<size_t>(argmax(logits))]) {
  // Relative to the largest logit, so no exponential overflows and the sum is at least 1.
  double sum = 0;
  for (float logit : logits_) sum += exact_exp64(logit - largest_);
  log_of_sum_ = exact_log64(sum);
}

double LogProbabilities::of(TokenId token) const {
  return -(log_of_sum_ - (logits_[static_cast<size_t>(token)] - largest_));
}

std::vector<std::pair<TokenId, double>> LogProbabilities::likeliest(uint32_t count) const {
  if (count == 0) return {};
  std::vector<TokenId> ids(logits_.size());
  std::iota(ids.begin(), ids.end(), 0);
  auto end = ids.begin() + static_cast<ptrdiff_t>(std::min<size_t>(count, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), [this](TokenId a, TokenId b) {
    float left = logits_[static_cast<size_t>(a)];
    float right = logits_[static_cast<size_t>(b)];
    return left != right ? left > right : a < b;
  });
  std::vector<std::pair<TokenId, double>> best;
  for (auto id = ids.begin(); id != end; ++id) best.emplace_back(*id, of(*id));
  return best;
}

}  // namespace potluck
