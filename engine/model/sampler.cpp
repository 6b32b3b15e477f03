#include "engine/model/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/kernels/exact_math.h"

namespace potluck {
namespace {

constexpr size_t kWeightBits = 40;
constexpr double kFullWeight = 0x1.0p40;
constexpr double kLowestExponent = -27.725887222397812;  // -40 ln 2: weighs less than 1 below it

struct Candidate {
  TokenId id;
  float logit;
  uint64_t weight;
};

Error bad_setting(std::string_view name, std::string_view allowed, double found) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{} must be {}, but is {}", name, allowed, found)};
}

// OpenAI's API allows these for either penalty, and for a bias.
constexpr double kLargestPenalty = 2;
constexpr double kLargestBias = 100;

bool changes_logits(const SamplingSettings& settings) {
  return (settings.repeat_penalty != 1 && settings.repeat_window > 0) ||
         settings.presence_penalty != 0 || settings.frequency_penalty != 0 ||
         !settings.logit_bias.empty();
}

bool is_in(std::span<const float> logits, TokenId token) {
  return token >= 0 && static_cast<size_t>(token) < logits.size();
}

// On each token that stands in the window, once, however often it does.
void apply_repeat_penalty(std::span<const TokenId> history, const SamplingSettings& settings,
                          std::span<float> penalized) {
  size_t count = std::min<size_t>(history.size(), settings.repeat_window);
  std::vector<TokenId> recent(history.end() - static_cast<ptrdiff_t>(count), history.end());
  std::ranges::sort(recent);
  recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
  auto penalty = static_cast<float>(settings.repeat_penalty);
  for (TokenId token : recent) {
    if (!is_in(penalized, token)) continue;
    float& logit = penalized[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

void apply_count_penalties(std::span<const TokenId> answer, const SamplingSettings& settings,
                           std::span<float> penalized) {
  std::vector<TokenId> sorted(answer.begin(), answer.end());
  std::ranges::sort(sorted);
  for (auto first = sorted.begin(); first != sorted.end();) {
    auto last = std::upper_bound(first, sorted.end(), *first);
    if (is_in(penalized, *first)) {
      auto count = static_cast<double>(last - first);
      double penalty = settings.presence_penalty + settings.frequency_penalty * count;
      float& logit = penalized[static_cast<size_t>(*first)];
      logit = static_cast<float>(double{logit} - penalty);
    }
    first = last;
  }
}

std::vector<float> change_logits(std::span<const float> logits, std::span<const TokenId> history,
                                 const SamplingSettings& settings, size_t answer_begin) {
  std::vector<float> changed(logits.begin(), logits.end());
  if (settings.repeat_penalty != 1) apply_repeat_penalty(history, settings, changed);
  if (settings.presence_penalty != 0 || settings.frequency_penalty != 0) {
    apply_count_penalties(history.subspan(std::min(answer_begin, history.size())), settings,
                          changed);
  }
  for (const LogitBias& entry : settings.logit_bias) {
    if (!is_in(changed, entry.token)) continue;
    float& logit = changed[static_cast<size_t>(entry.token)];
    logit = static_cast<float>(double{logit} + entry.bias);
  }
  return changed;
}

bool is_set(std::span<const uint64_t> bits, TokenId token) {
  const size_t word = static_cast<size_t>(token) / 64;
  return word < bits.size() && (bits[word] >> (static_cast<size_t>(token) % 64) & 1) != 0;
}

TokenId first_set(std::span<const uint64_t> bits) {
  const auto word = std::ranges::find_if(bits, [](uint64_t some) { return some != 0; });
  if (word == bits.end()) return 0;
  return static_cast<TokenId>((word - bits.begin()) * 64 + std::countr_zero(*word));
}

void ban_others(std::span<const uint64_t> allowed, std::span<float> logits) {
  constexpr float kBanned = -std::numeric_limits<float>::infinity();
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const uint64_t bits = begin / 64 < allowed.size() ? allowed[begin / 64] : 0;
    const std::span<float> part =
        logits.subspan(begin, std::min<size_t>(64, logits.size() - begin));
    if (bits == 0) {
      std::ranges::fill(part, kBanned);
      continue;
    }
    for (size_t i = 0; i < part.size(); ++i) {
      if ((bits >> i & 1) == 0) part[i] = kBanned;
    }
  }
}

// Everything that may be drawn, in order of id, not yet weighed.
std::vector<Candidate> find_candidates(std::span<const float> logits, float largest,
                                       double temperature) {
  // Comparing with a bound first is cheap; it is a little too low, never too high.
  auto bound = static_cast<float>(largest + kLowestExponent * temperature * (1 + 0x1p-20));
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] >= bound)) continue;
    candidates.push_back({static_cast<TokenId>(i), logits[i], 0});
  }
  return candidates;
}

// Keeps the k with the largest logits, ties to the lower id, in order of id.
void keep_top_k(std::vector<Candidate>& candidates, uint32_t k) {
  if (k == 0 || candidates.size() <= k) return;
  std::vector<std::pair<float, TokenId>> best;  // negated logits: smaller is better
  best.reserve(size_t{k} * 2);
  float worst = std::numeric_limits<float>::infinity();  // of the k best so far
  auto cut = [&] {
    std::nth_element(best.begin(), best.begin() + (k - 1), best.end());
    best.resize(k);
    worst = best.back().first;
  };
  for (const Candidate& candidate : candidates) {
    if (-candidate.logit >= worst) continue;  // an equal one came earlier
    best.emplace_back(-candidate.logit, candidate.id);
    if (best.size() == size_t{k} * 2) cut();
  }
  cut();
  auto last = best.back();
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return std::pair(-candidate.logit, candidate.id) > last;
  });
}

uint64_t weigh(std::vector<Candidate>& candidates, float largest, double temperature) {
  uint64_t total = 0;
  for (Candidate& candidate : candidates) {
    double exponent = (double{candidate.logit} - double{largest}) / temperature;
    candidate.weight = static_cast<uint64_t>(exact_exp64(exponent) * kFullWeight);
    total += candidate.weight;
  }
  return total;
}

// Weights of about the same size share a bucket: their number of bits and the four bits below the
// highest. Larger weights never stand in a lower bucket.
constexpr size_t kBucketBits = 4;
constexpr size_t kBuckets = (kWeightBits + 2) << kBucketBits;
size_t bucket_of(uint64_t weight) {
  auto width = static_cast<size_t>(std::bit_width(weight));
  uint64_t below = width > kBucketBits ? weight >> (width - 1 - kBucketBits) : weight;
  return (width << kBucketBits) | (below & ((1u << kBucketBits) - 1));
}

// Keeps the fewest candidates of largest weight (ties to the lower id) that together weigh at least
// top_p of all, in order of id. Only the bucket in which the border lies is sorted.
void keep_top_p(std::vector<Candidate>& candidates, double top_p, uint64_t total) {
  if (top_p >= 1) return;
  double share = std::ceil(top_p * static_cast<double>(total));
  uint64_t needed = std::max<uint64_t>(1, static_cast<uint64_t>(share));
  std::array<uint64_t, kBuckets> weights{};
  for (const Candidate& candidate : candidates) {
    weights[bucket_of(candidate.weight)] += candidate.weight;
  }
  size_t border = kBuckets - 1;
  while (border > 0 && weights[border] < needed) needed -= weights[border--];
  std::vector<std::pair<uint64_t, TokenId>> inside;  // negated weights: smaller is better
  for (const Candidate& candidate : candidates) {
    if (bucket_of(candidate.weight) != border) continue;
    inside.emplace_back(~candidate.weight, candidate.id);
  }
  std::ranges::sort(inside);
  auto last = inside.begin();
  for (; last + 1 != inside.end() && ~last->first < needed; ++last) needed -= ~last->first;
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return std::pair(~candidate.weight, candidate.id) > *last;
  });
}

TokenId draw(std::span<const Candidate> candidates, double uniform) {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  auto target = static_cast<uint64_t>(uniform * static_cast<double>(total));
  target = std::min(target, total - 1);
  for (const Candidate& candidate : candidates) {
    if (target < candidate.weight) return candidate.id;
    target -= candidate.weight;
  }
  return candidates.back().id;
}

TokenId draw_with_temperature(std::span<const float> logits, uint64_t position,
                              const SamplingSettings& settings) {
  TokenId best = argmax(logits);
  float largest = logits[static_cast<size_t>(best)];
  if (!std::isfinite(largest)) return best;
  std::vector<Candidate> candidates = find_candidates(logits, largest, settings.temperature);
  keep_top_k(candidates, settings.top_k);
  uint64_t total = weigh(candidates, largest, settings.temperature);
  keep_top_p(candidates, settings.top_p, total);
  double least = settings.min_p * kFullWeight;
  std::erase_if(candidates, [&](const Candidate& candidate) {
    return static_cast<double>(candidate.weight) < least;
  });
  return draw(candidates, CounterRandom(settings.seed).uniform(position));
}

}  // namespace

Status check_sampling(const SamplingSettings& settings) {
  if (!(settings.temperature >= 0) || !std::isfinite(settings.temperature)) {
    return bad_setting("temperature", "0 or more", settings.temperature);
  }
  if (!(settings.top_p >= 0 && settings.top_p <= 1)) {
    return bad_setting("top-p", "between 0 and 1", settings.top_p);
  }
  if (!(settings.min_p >= 0 && settings.min_p <= 1)) {
    return bad_setting("min-p", "between 0 and 1", settings.min_p);
  }
  if (!(settings.repeat_penalty > 0) || !std::isfinite(settings.repeat_penalty)) {
    return bad_setting("the repeat penalty", "above 0", settings.repeat_penalty);
  }
  if (!(std::abs(settings.presence_penalty) <= kLargestPenalty)) {
    return bad_setting("the presence penalty", "between -2 and 2", settings.presence_penalty);
  }
  if (!(std::abs(settings.frequency_penalty) <= kLargestPenalty)) {
    return bad_setting("the frequency penalty", "between -2 and 2", settings.frequency_penalty);
  }
  if (settings.logit_bias.size() > kMostLogitBiases) {
    return Error{ErrorCode::kLimit,
                 fmt::format("the logit bias has {} tokens, at most {} are accepted",
                             settings.logit_bias.size(), kMostLogitBiases)};
  }
  for (const LogitBias& entry : settings.logit_bias) {
    if (std::abs(entry.bias) <= kLargestBias) continue;
    return bad_setting(fmt::format("the logit bias of token {}", entry.token),
                       "between -100 and 100", entry.bias);
  }
  return {};
}

TokenId sample(std::span<const float> logits, std::span<const TokenId> history, uint64_t position,
               const SamplingSettings& settings, size_t answer_begin,
               std::span<const uint64_t> allowed) {
  CHECK(!logits.empty());
  std::vector<float> changed;
  if (changes_logits(settings)) {
    changed = change_logits(logits, history, settings, answer_begin);
    logits = changed;
  }
  if (!allowed.empty()) {
    if (changed.empty()) changed.assign(logits.begin(), logits.end());
    ban_others(allowed, changed);
    logits = changed;
  }
  const TokenId token = settings.temperature == 0
                            ? argmax(logits)
                            : draw_with_temperature(logits, position, settings);
  // Where no logit that is allowed is a number, the first of them is as good as any.
  return allowed.empty() || is_set(allowed, token) ? token : first_set(allowed);
}

// NaN loses every comparison, so it never becomes the largest. Several lanes, because a single
// chain of comparisons would wait for each one.
TokenId argmax(std::span<const float> logits) {
  CHECK(!logits.empty());
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> lanes;
  lanes.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
    }
  }
  for (; i < logits.size(); ++i) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
  float largest = *std::ranges::max_element(lanes);
  auto first = std::ranges::find(logits, largest);
  return first == logits.end() ? 0 : static_cast<TokenId>(first - logits.begin());
}

}  // namespace potluck
