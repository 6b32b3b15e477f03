#include "engine/model/scoring.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/kernels/exact_math.h"
#include "engine/model/log_probabilities.h"
#include "engine/model/sampler.h"
#include "engine/model/step_run.h"

namespace potluck {
namespace {

// Bound on the logits of one step; a large vocabulary makes the steps shorter.
constexpr uint64_t kLogitBytes = 64 * kMiB;

Status check_tokens(const ScoringRun& run, std::span<const TokenId> tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && static_cast<uint32_t>(tokens[i]) < run.config.vocabulary) continue;
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("token {} of the list must be between 0 and {}, but is {}", i,
                             run.config.vocabulary - 1, tokens[i])};
  }
  return {};
}

Status check_room(const ScoringRun& run, uint64_t tokens) {
  if (tokens <= run.cache.capacity()) return {};
  return Error{ErrorCode::kLimit,
               fmt::format("{} tokens do not fit a context of {}", tokens, run.cache.capacity())};
}

uint32_t step_tokens(const ScoringRun& run) {
  uint64_t most = std::max<uint64_t>(1, kLogitBytes / (run.config.vocabulary * sizeof(float)));
  return static_cast<uint32_t>(std::clamp<uint64_t>(run.prefill_chunk, 1, most));
}

// Runs the tokens from an empty cache and calls use(position, logits) for the positions from
// `first_wanted` on, in order.
template <class Use>
Status run_window(const ScoringRun& run, std::span<const TokenId> tokens, uint32_t first_wanted,
                  const Use& use) {
  // Windows must not see each other, nor what was computed before.
  run.cache.set_length(0);
  std::vector<ForwardRow> rows;
  auto end = static_cast<uint32_t>(tokens.size());
  for (uint32_t first = 0; first < end; first += static_cast<uint32_t>(rows.size())) {
    rows.clear();
    for (uint32_t p = first; p < std::min(end, first + step_tokens(run)); ++p) {
      rows.push_back({tokens[p], p, &run.cache, p >= first_wanted});
    }
    Status done = run_step(run.forward, rows, run.executor);
    if (!done) return done;
    uint32_t logit_row = 0;
    for (const ForwardRow& row : rows) {
      if (row.wants_logits) use(row.position, run.forward.logits(logit_row++));
    }
  }
  return {};
}

void report(const ScoringRun& run, uint64_t done, uint64_t total) {
  if (run.progress) run.progress(done, total);
}

}  // namespace

double negative_log_likelihood(std::span<const float> logits, TokenId token) {
  return -LogProbabilities(logits).of(token);
}

Result<TokenScore> score_tokens(const ScoringRun& run, std::span<const TokenId> tokens) {
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidArgument, "there must be at least one token to score"};
  }
  Status fits = check_room(run, tokens.size());
  if (!fits) return fits.error();
  Status known = check_tokens(run, tokens);
  if (!known) return known.error();
  TokenScore score;
  double sum = 0;
  Status done = run_window(run, tokens, 0, [&](uint32_t position, std::span<const float> logits) {
    if (position + 1 < tokens.size()) {
      sum += negative_log_likelihood(logits, tokens[position + 1]);
    } else {
      score.last_logits.assign(logits.begin(), logits.end());
    }
    report(run, position + 1, tokens.size());
  });
  if (!done) return done.error();
  if (tokens.size() > 1) score.mean_nll = sum / static_cast<double>(tokens.size() - 1);
  return score;
}

Result<std::vector<TokenId>> continue_greedily(const ScoringRun& run, std::vector<float> logits,
                                               uint32_t count) {
  std::vector<TokenId> tokens;
  if (count == 0) return tokens;
  // The last token is only chosen, not computed.
  Status fits = check_room(run, uint64_t{run.cache.length()} + count - 1);
  if (!fits) return fits.error();
  for (;;) {
    tokens.push_back(argmax(logits));
    report(run, tokens.size(), count);
    if (tokens.size() == count) return tokens;
    const ForwardRow row{tokens.back(), run.cache.length(), &run.cache, true};
    Status done = run_step(run.forward, {&row, 1}, run.executor);
    if (!done) return done.error();
    std::span<const float> next = run.forward.logits(0);
    // A copy: the view ends with the next step.
    logits.assign(next.begin(), next.end());
  }
}

Result<PerplexityScore> score_perplexity(const ScoringRun& run, std::span<const TokenId> tokens,
                                         uint32_t context, std::optional<TokenId> begin) {
  if (context < 4) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the context must be at least 4 tokens, but is {}", context)};
  }
  uint64_t windows = tokens.size() / context;
  if (windows == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the text must fill a context of {} tokens, but has {}", context,
                             tokens.size())};
  }
  Status fits = check_room(run, context);
  if (!fits) return fits.error();
  Status known = check_tokens(run, tokens);
  if (!known) return known.error();
  PerplexityScore score;
  double sum = 0;
  for (uint64_t i = 0; i < windows; ++i) {
    auto from = tokens.subspan(i * context, context);
    std::vector<TokenId> window(from.begin(), from.end());
    // As llama.cpp does it, so that perplexities can be compared with published ones.
    if (begin) window.front() = *begin;
    // The last token is only predicted.
    Status done = run_window(run, std::span(window).first(context - 1), context / 2,
                             [&](uint32_t position, std::span<const float> logits) {
                               sum += negative_log_likelihood(logits, window[position + 1]);
                               ++score.scored_tokens;
                             });
    if (!done) return done.error();
    report(run, (i + 1) * context, windows * context);
  }
  score.mean_nll = sum / static_cast<double>(score.scored_tokens);
  score.perplexity = exact_exp64(score.mean_nll);
  return score;
}

}  // namespace potluck
