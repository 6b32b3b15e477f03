// LogProbabilities: log softmax of a row of logits, in float64. The sums are added in order of id
// with the functions of exact_math.h; what APIs report of it is no part of the arithmetic contract.
// A view of the logits, which must outlive it; any thread.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

class LogProbabilities {
 public:
  explicit LogProbabilities(std::span<const float> logits);  // at least one

  // The token must be one of the vocabulary.
  double of(TokenId token) const;
  // The likeliest `count` tokens, the likeliest first, ties to the lower id.
  std::vector<std::pair<TokenId, double>> likeliest(uint32_t count) const;

 private:
  std::span<const float> logits_;
  double largest_;
  double log_of_sum_;  // of exp(logit - largest)
};

}  // namespace potluck
