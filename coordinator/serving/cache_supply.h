// CacheSupply: the memory of all requests' keys and values, and the cache that each begins with.
// What earlier requests have computed is shared, so that only the rest of a prompt is computed.
// Owns the memory and what is kept in it; owned by the CompletionEngine, its thread.
#pragma once

#include "coordinator/serving/prefix_cache.h"

namespace potluck {

// A conversation that is being worked on.
struct RunningPrefix {
  std::span<const TokenId> tokens;  // more than the cache holds
  uint32_t prompt_tokens = 0;
  const KvCache* cache = nullptr;
};

struct StartingCache {
  // Holds the first tokens of the request, never all of them. Null: not all is read from disk yet.
  std::unique_ptr<KvCache> cache;
  // Where others part from this request: worth a checkpoint, as the next one may part there too.
  // 0: nowhere beyond the cache's length.
  uint32_t fork = 0;
};

class CacheSupply {
 public:
  // `context`: positions of every cache; `budget`: bytes for all of them and what is kept. The
  // configuration and the store, which may be null, must outlive the object.
  CacheSupply(const ModelConfig& config, KvType type, uint32_t context, uint64_t budget,
              PrefixStore* store);

  const KvPrice& price() const { return price_; }

  // A cache for these tokens. Call again while there is none yet: each time one part is read from
  // disk, and `blocks`, empty at first, are those that are there so far. kLimit if memory is
  // refused.
  Result<StartingCache> start(std::span<const TokenId> tokens,
                              std::span<const RunningPrefix> running, std::vector<KvBlock>* blocks);
  // Bytes of the blocks that start() would share with sessions that have them now.
  uint64_t shared_bytes(std::span<const TokenId> tokens,
                        std::span<const RunningPrefix> running) const;
  // Whether more can be had of it soon: someone who begins alike is still computing that.
  bool should_wait(std::span<const TokenId> tokens, std::span<const RunningPrefix> running) const;

  // Memory for positions below `end`, if need be of what is kept. kLimit if there is none, which
  // cannot be while all keep to what they have reserved.
  Status extend(KvCache& cache, uint32_t end);
  // Where a request that has computed `from` of its tokens should stop for a checkpoint, or at
  // their end.
  uint32_t next_stop(uint32_t from, uint32_t fork, uint32_t tokens) const;
  // Whether a checkpoint is due at this position regardless of what a request says there.
  bool is_regular_stop(uint32_t position) const {
    return is_recurrent_ && position % interval_ == 0;
  }
  // The first such position from `position` on; if there are none, the largest number.
  uint32_t regular_stop_from(uint32_t position) const {
    return is_recurrent_ ? round_up(position, interval_) : UINT32_MAX;
  }

  // Keeps what a request has computed of its tokens, so that others can begin from it; with a
  // checkpoint at its end if the model has recurrent layers.
  Status keep(std::span<const TokenId> tokens, KvCache& cache, CheckpointKind kind);
  void shrink(uint64_t free_bytes) { kept_.shrink(free_bytes); }
  SavedPrefixes save(const Clock& clock, Duration at_most) { return kept_.save(clock, at_most); }
  const PrefixCache& kept() const { return kept_; }
  const KvMemory& memory() const { return *memory_; }
  uint64_t held_bytes() const { return memory_->held() * memory_->block_bytes(); }

 private:
  // The best that can be begun from.
  struct Source {
    const KvCache* running = nullptr;  // or of what is kept
    uint32_t length = 0;
    uint32_t held = 0;  // of it, whole blocks that sessions have
    uint32_t fork = 0;  // the most tokens in common with any
  };

  Source find(std::span<const TokenId> tokens, std::span<const RunningPrefix> running) const;

  const ModelConfig& config_;
  uint32_t context_;
  KvPrice price_;
  std::shared_ptr<KvMemory> memory_;
  PrefixCache kept_;
  bool is_recurrent_;
  uint32_t interval_;  // positions between regular checkpoints
};

}  // namespace potluck
