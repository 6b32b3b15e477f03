#include "coordinator/serving/cache_supply.h"

#include <algorithm>

#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// Tokens that are computed sooner than they are worth a thought.
constexpr uint32_t kFewTokens = 64;
// Templates begin every answer with a few tokens: a conversation that goes on may part from its
// last prompt this early.
constexpr uint32_t kAnswerMarkTokens = 8;

bool is_recurrent(const ModelConfig& config) {
  return config.delta.key_heads > 0;
}

uint64_t rest(uint64_t all, uint64_t part) {
  return all - std::min(all, part);
}

}  // namespace

CacheSupply::Source CacheSupply::find(std::span<const TokenId> tokens,
                                      std::span<const RunningPrefix> running) const {
  // The last token is always computed: its logits are needed.
  std::span<const TokenId> reusable = tokens.first(tokens.size() - 1);
  Source best;
  uint32_t usable = 0;
  if (auto match = kept_.find(reusable)) {
    const KvCache& cache = *match->entry->cache;
    uint32_t copyable = cache.copyable(match->common);
    best = {&cache, match->entry, match->common, copyable, 0};
    usable = std::max(copyable, cache.reachable(match->common));
  }
  uint32_t fork = best.common;
  for (const RunningPrefix& prefix : running) {
    uint32_t shared = common_prefix(prefix.tokens, reusable);
    fork = std::max(fork, shared);
    uint32_t copyable = prefix.cache->copyable(std::min(shared, prefix.cache->length()));
    if (copyable <= usable) continue;
    best = {prefix.cache, nullptr, shared, copyable, 0};
    usable = copyable;
  }
  best.fork = fork;
  return best;
}

Result<StartingCache> CacheSupply::start(std::span<const TokenId> tokens,
                                         std::span<const RunningPrefix> running,
                                         uint64_t free_bytes, uint64_t bytes) {
  Source source = find(tokens, running);
  StartingCache started;
  Status made = guard_memory("the KV cache of a request", [&]() -> Status {
    started =
        takes_over(source, free_bytes, bytes) ? take_over(source) : copy(source, free_bytes, bytes);
    started.cache->checkpoint();  // a recurrent state takes its memory here
    return {};
  });
  if (!made) return made.error();
  uint32_t length = started.cache->length();
  if (is_recurrent(config_) && source.fork >= length + kFewTokens) started.fork = source.fork;
  return started;
}

// A kept cache goes on as the request's own where nothing is lost by it. Where there is no room for
// a copy beside it, it would have to go anyway.
bool CacheSupply::takes_over(const Source& source, uint64_t free_bytes, uint64_t bytes) const {
  if (source.kept == nullptr) return false;
  const KeptPrefix& kept = *source.kept;
  uint32_t common = std::min(source.common, kept.cache->length());
  uint32_t reachable = kept.cache->reachable(common);
  if (reachable == 0) return false;
  if (reachable > source.length + kFewTokens) return true;
  bool loses_little = kept.cache->length() <= reachable + kFewTokens;
  bool fits_beside = kept_.bytes_of(&kept) + bytes <= free_bytes;
  if (loses_little || !fits_beside) return true;
  // Only an answer would be lost, of which the client has sent back another form; against caches of
  // others.
  bool is_continuation = common + kAnswerMarkTokens >= kept.prompt_tokens;
  return is_continuation && kept_.bytes() + bytes > free_bytes;
}

StartingCache CacheSupply::take_over(const Source& source) {
  uint32_t common = source.common;
  KeptPrefix taken = kept_.take(source.kept);
  taken.cache->rewind(std::min(common, taken.cache->length()));
  return {std::move(taken.cache), taken.held, taken.uses, 0};
}

StartingCache CacheSupply::copy(const Source& source, uint64_t free_bytes, uint64_t bytes) {
  kept_.shrink(rest(free_bytes, bytes), source.kept);
  StartingCache started;
  started.cache = std::make_unique<KvCache>(config_, type_, context_);
  if (source.length == 0) return started;
  started.held = started.cache->copy_prefix(*source.cache, source.length);
  if (source.kept == nullptr) return started;
  kept_.note_use(source.kept);
  kept_.shrink(rest(free_bytes, bytes));
  return started;
}

bool CacheSupply::should_wait(std::span<const TokenId> tokens,
                              std::span<const RunningPrefix> running) const {
  std::span<const TokenId> reusable = tokens.first(tokens.size() - 1);
  uint32_t now = find(tokens, {}).length;
  uint32_t soon = 0;
  for (const RunningPrefix& prefix : running) {
    uint32_t common = common_prefix(prefix.tokens.first(prefix.prompt_tokens), reusable);
    if (prefix.cache->length() >= common) now = std::max(now, prefix.cache->copyable(common));
    // A recurrent state will be known at the end of the prompt only.
    bool is_coming = prefix.cache->length() < common &&
                     (!is_recurrent(config_) || common == prefix.prompt_tokens);
    if (is_coming) soon = std::max(soon, common);
  }
  return soon >= now + kFewTokens;
}

void CacheSupply::keep(KeptPrefix prefix, uint64_t free_bytes) {
  kept_.keep(std::move(prefix));
  kept_.shrink(free_bytes);
}

}  // namespace potluck
