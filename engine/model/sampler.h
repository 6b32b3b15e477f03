// Sampler: from logits to the next token. Random numbers are a function of (seed, position), so
// batching, speculation and restarts draw the same. Plain functions and values; any thread.
//
// Probabilities are whole numbers: a candidate weighs floor(exp((logit - largest) / temperature) *
// 2^40), computed in float64 by exact_exp64. Sums of them are exact in any order, so no sort and no
// processor can shift a draw; a token below 2^-40 of the likeliest is never drawn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

struct LogitBias {
  TokenId token = 0;
  double bias = 0;  // added to its logit
};

// As many as OpenAI's API accepts.
inline constexpr size_t kMostLogitBiases = 1024;

struct SamplingSettings {
  double temperature = 0.8;   // 0: greedy
  uint32_t top_k = 0;         // 0: off
  double top_p = 0.95;        // 1: off; keeps the fewest candidates that weigh so much of the whole
  double min_p = 0;           // 0: off; keeps tokens with p >= min_p * largest p
  double repeat_penalty = 1;  // 1: off; divides positive and multiplies negative logits of
                              // tokens among the last `repeat_window`
  uint32_t repeat_window = 64;
  uint64_t seed = 0;
  double presence_penalty = 0;   // 0: off; taken from the logits of tokens that the answer has
  double frequency_penalty = 0;  // 0: off; the same, once for each time that the answer has them
  std::vector<LogitBias> logit_bias = {};  // tokens that the vocabulary does not have are ignored
};

// An error names the setting, what is allowed and what was found.
Status check_sampling(const SamplingSettings& settings);

// The order is fixed: repeat penalty, presence and frequency penalty, bias, greedy or temperature,
// top-k, top-p, min-p, draw. The bias comes last of those that change logits, so that none of the
// others can lift what it bans. Top-k and top-p take candidates by logit, ties by the lower id; the
// draw walks those left in order of id. `position` is that of the token being chosen; `history`
// holds the tokens before it, from `answer_begin` on those of the answer. The settings must have
// been checked; logits that are not numbers are never chosen while there are others. `allowed` has
// a bit for each token that may be chosen, one of them at least; if it is empty, all may. It comes
// after the bias: nothing lifts what it bans.
TokenId sample(std::span<const float> logits, std::span<const TokenId> history, uint64_t position,
               const SamplingSettings& settings, size_t answer_begin = 0,
               std::span<const uint64_t> allowed = {});

// The largest logit; ties to the lower id.
TokenId argmax(std::span<const float> logits);

}  // namespace potluck
