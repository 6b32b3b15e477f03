#include "coordinator/serving/cache_supply.h"

#include <algorithm>

#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// Tokens that are computed sooner than they are worth a thought.
constexpr uint32_t kFewTokens = 64;
// Fewer are computed sooner than a checkpoint is made for the next request that parts there.
constexpr uint32_t kTokensBeforeFork = 16;
// Templates begin every answer with a few tokens: a conversation that goes on may part from its
// last prompt this early.
constexpr uint32_t kAnswerMarkTokens = 8;
// Regular checkpoints stand so far apart that they take about as much as the keys and values do.
constexpr uint64_t kLeastInterval = 1024;
constexpr uint64_t kMostInterval = 8192;
// What a tree of blocks may grow to; of the smallest models a budget would hold more.
constexpr uint64_t kMostBlocks = 64 * 1024;

uint32_t checkpoint_interval(const ModelConfig& config, const KvPrice& price) {
  uint64_t bytes =
      RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config), config.recurrent_shape());
  uint64_t even = bytes / std::max<uint64_t>(1, price.per_position);
  return static_cast<uint32_t>(
      std::clamp(round_up<uint64_t>(even, kKvBlockPositions), kLeastInterval, kMostInterval));
}

// Blocks for the whole budget, and one more: a request that has all of it may copy its last one.
uint32_t block_count(const KvPrice& price, uint32_t context, uint64_t budget) {
  uint64_t fitting = budget / std::max<uint64_t>(1, price.of_blocks(1));
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(fitting, kv_blocks(context),
                           std::max<uint64_t>(kMostBlocks, kv_blocks(context))) +
      1);
}

// The last token is always computed: its logits are needed.
std::span<const TokenId> reusable(std::span<const TokenId> tokens) {
  return tokens.first(tokens.size() - 1);
}

}  // namespace

CacheSupply::CacheSupply(const ModelConfig& config, KvType type, uint32_t context, uint64_t budget,
                         PrefixStore* store)
    : config_(config),
      context_(context),
      price_(config, type),
      memory_(std::make_shared<KvMemory>(config, type, block_count(price_, context, budget))),
      kept_(config, memory_, store),
      is_recurrent_(KvMemory::recurrent_layers(config) > 0),
      interval_(checkpoint_interval(config, price_)) {}

CacheSupply::Source CacheSupply::find(std::span<const TokenId> tokens,
                                      std::span<const RunningPrefix> running) const {
  PrefixCache::Match match = kept_.find(reusable(tokens));
  Source best{nullptr, match.length, match.held, match.common};
  for (const RunningPrefix& prefix : running) {
    uint32_t common = common_prefix(prefix.tokens, reusable(tokens));
    best.fork = std::max(best.fork, common);
    uint32_t length = prefix.cache->copyable(std::min(common, prefix.cache->length()));
    uint32_t held = length / kKvBlockPositions * kKvBlockPositions;
    if (length > best.length) best = {prefix.cache, length, held, best.fork};
  }
  return best;
}

uint64_t CacheSupply::shared_bytes(std::span<const TokenId> tokens,
                                   std::span<const RunningPrefix> running) const {
  return price_.of_blocks(find(tokens, running).held / kKvBlockPositions);
}

Result<StartingCache> CacheSupply::start(std::span<const TokenId> tokens,
                                         std::span<const RunningPrefix> running,
                                         std::vector<KvBlock>* blocks) {
  Source source = find(tokens, running);
  StartingCache started;
  Status made = guard_memory("the KV cache of a request", [&]() -> Status {
    auto cache = std::make_unique<KvCache>(config_, memory_, context_);
    if (source.running != nullptr) {
      blocks->clear();
      cache->share_prefix(*source.running, source.length);
    } else if (!kept_.begin(reusable(tokens), blocks, cache.get())) {
      return {};
    }
    // Where two part within a block, the copy is made here: from now on it is the request's own.
    Status own = extend(*cache, cache->length() + 1);
    // With memory for this request alone, the block that is to be copied is in the way of its copy:
    // what requests hold is not dropped. The request then begins where that block does.
    while (!own && cache->length() > 0) {
      cache->rewind((cache->length() - 1) / kKvBlockPositions * kKvBlockPositions);
      own = extend(*cache, cache->length() + 1);
    }
    if (!own) return own;
    started.cache = std::move(cache);
    return {};
  });
  if (!made) return made.error();
  if (started.cache == nullptr) return started;
  uint32_t length = started.cache->length();
  if (is_recurrent_ && source.fork >= length + kTokensBeforeFork) started.fork = source.fork;
  return started;
}

bool CacheSupply::should_wait(std::span<const TokenId> tokens,
                              std::span<const RunningPrefix> running) const {
  uint32_t now = kept_.find(reusable(tokens)).length;
  uint32_t soon = 0;
  for (const RunningPrefix& prefix : running) {
    uint32_t common = common_prefix(prefix.tokens.first(prefix.prompt_tokens), reusable(tokens));
    if (prefix.cache->length() >= common) now = std::max(now, prefix.cache->copyable(common));
    // A recurrent state will be known where the other one stops next, at its last token but a few.
    bool is_coming = prefix.cache->length() < common &&
                     (!is_recurrent_ || common + kAnswerMarkTokens >= prefix.prompt_tokens);
    if (is_coming) soon = std::max(soon, common);
  }
  return soon >= now + kFewTokens;
}

Status CacheSupply::extend(KvCache& cache, uint32_t end) {
  while (!cache.extend(end)) {
    if (kept_.make_room(memory_->free() + 1)) continue;
    return Error{ErrorCode::kLimit, "the memory for keys and values is used up"};
  }
  return {};
}

uint32_t CacheSupply::next_stop(uint32_t from, uint32_t fork, uint32_t tokens) const {
  if (!is_recurrent_) return tokens;
  uint32_t stop = tokens;
  auto consider = [&](uint32_t position) {
    if (position > from && position < stop) stop = position;
  };
  consider(fork);
  if (tokens - from > kFewTokens) consider(tokens - kAnswerMarkTokens);
  uint32_t regular = (from / interval_ + 1) * interval_;
  if (regular + kFewTokens < tokens) consider(regular);
  return stop;
}

Status CacheSupply::keep(std::span<const TokenId> tokens, KvCache& cache, CheckpointKind kind) {
  if (cache.length() == 0) return {};
  return guard_memory("what a request leaves", [&]() -> Status {
    kept_.keep(tokens, cache, cache.checkpoint(), kind);
    return {};
  });
}

}  // namespace potluck
