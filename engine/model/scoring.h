// Scoring: how well a model predicts given tokens. Every window starts from an empty cache; results
// do not depend on the size of the steps. Called by the thread that owns the forward object.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/model/forward.h"

namespace potluck {

// What scoring runs on; all must outlive the call. The cache is emptied first.
struct ScoringRun {
  const ModelConfig& config;
  Forward& forward;
  ExpertExecutor& executor;
  KvCache& cache;
  uint32_t prefill_chunk = 512;  // most tokens in a step; at least 1
  Progress progress;             // in tokens; may be empty
};

// -log softmax(logits)[token], in float64 with the functions of exact_math.h.
double negative_log_likelihood(std::span<const float> logits, TokenId token);

struct TokenScore {
  double mean_nll = 0;             // over the tokens after the first; 0 if there are none
  std::vector<float> last_logits;  // [vocabulary], after the last token
};

// At least one token; all below the vocabulary's size, and no more than the cache has room for:
// else an error that names what is wrong.
Result<TokenScore> score_tokens(const ScoringRun& run, std::span<const TokenId> tokens);

// The `count` likeliest tokens, one after the other, that follow what the cache holds. `logits` are
// those after its last token. End-of-text is a token like any other.
Result<std::vector<TokenId>> continue_greedily(const ScoringRun& run, std::vector<float> logits,
                                               uint32_t count);

struct PerplexityScore {
  double mean_nll = 0;
  double perplexity = 0;  // exp(mean_nll)
  uint64_t scored_tokens = 0;
};

// Perplexity as llama.cpp computes it: the tokens are cut into windows of `context`, what is left
// over is not used; in each, positions context / 2 .. context - 2 predict the token that follows.
// `begin`, for models that ask for one, replaces the first token of every window. An error if there
// is not one whole window, or context is below 4.
Result<PerplexityScore> score_perplexity(const ScoringRun& run, std::span<const TokenId> tokens,
                                         uint32_t context, std::optional<TokenId> begin);

}  // namespace potluck
