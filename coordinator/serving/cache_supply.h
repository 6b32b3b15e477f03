// CacheSupply: the cache that a request begins with. What earlier requests have computed is taken
// over or copied, so that only the rest of a prompt is computed. Owns the kept caches; owned by the
// CompletionEngine, its thread.
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
  std::unique_ptr<KvCache> cache;  // holds the first tokens of the request, never all of them
  uint32_t held = 0;               // positions that have ever been filled
  uint32_t uses = 0;               // of what it was taken over from
  // Where others part from this request: worth a checkpoint, as the next one may part there too.
  // 0: nowhere beyond the cache's length.
  uint32_t fork = 0;
};

class CacheSupply {
 public:
  // `context`: positions of every cache. The configuration must outlive the object.
  CacheSupply(const ModelConfig& config, KvType type, uint32_t context)
      : config_(config), type_(type), context_(context), price_(config, type), kept_(price_) {}

  const KvPrice& price() const { return price_; }

  // A cache for these tokens. `free_bytes`: what kept caches and this one may take together;
  // `bytes`: what this one will. kLimit if memory is refused.
  Result<StartingCache> start(std::span<const TokenId> tokens,
                              std::span<const RunningPrefix> running, uint64_t free_bytes,
                              uint64_t bytes);
  // Whether more can be had of it soon: someone who begins alike is still computing that.
  bool should_wait(std::span<const TokenId> tokens, std::span<const RunningPrefix> running) const;

  // Keeps what a request leaves, if all that is kept may take so much.
  void keep(KeptPrefix prefix, uint64_t free_bytes);
  void shrink(uint64_t free_bytes) { kept_.shrink(free_bytes); }
  const PrefixCache& kept() const { return kept_; }

 private:
  struct Source {
    const KvCache* cache = nullptr;
    const KeptPrefix* kept = nullptr;  // or of a running one
    uint32_t common = 0;               // tokens, with this one
    uint32_t length = 0;               // that a copy would have
    uint32_t fork = 0;                 // the most tokens in common with any
  };

  Source find(std::span<const TokenId> tokens, std::span<const RunningPrefix> running) const;
  bool takes_over(const Source& source, uint64_t free_bytes, uint64_t bytes) const;
  StartingCache take_over(const Source& source);
  StartingCache copy(const Source& source, uint64_t free_bytes, uint64_t bytes);

  const ModelConfig& config_;
  KvType type_;
  uint32_t context_;
  KvPrice price_;
  PrefixCache kept_;
};

}  // namespace potluck
