// PrefixCache: the caches of conversations that are not being worked on, for later requests that
// begin alike. Those that were used longest ago go first; but those that several requests have
// begun from, such as the long beginning that an agent and its helpers share, go after those that
// were never used. It never takes more than it is told to. Owned by the CompletionEngine; its
// thread.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "coordinator/serving/kv_price.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

// How many tokens both begin with.
uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b);

// What a conversation leaves behind.
struct KeptPrefix {
  std::vector<TokenId> tokens;  // as many as the cache holds
  uint32_t prompt_tokens = 0;   // of these, at most; the others were an answer
  uint32_t held = 0;            // positions that have ever been filled: memory stays with them
  uint32_t uses = 0;            // requests that began from it
  std::unique_ptr<KvCache> cache;
};

class PrefixCache {
 public:
  explicit PrefixCache(const KvPrice& price) : price_(price) {}

  // Valid until the entry is taken or dropped.
  struct Match {
    const KeptPrefix* entry = nullptr;
    uint32_t common = 0;  // tokens; at least one
  };

  // Of those from which the most can be used, the one that has the least beyond that.
  std::optional<Match> find(std::span<const TokenId> tokens) const;
  // An entry of find() is begun from, and stays.
  void note_use(const KeptPrefix* entry);
  // An entry of find() goes on as another request.
  KeptPrefix take(const KeptPrefix* entry);

  // What another entry has as well is not kept twice.
  void keep(KeptPrefix prefix);
  // Drops entries until all of them, but `spared`, which is never dropped, fit.
  void shrink(uint64_t most_bytes, const KeptPrefix* spared = nullptr);

  uint64_t bytes() const;
  uint64_t bytes_of(const KeptPrefix* entry) const { return price_.of(entry->held); }
  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<KeptPrefix>;  // the one used longest ago first; entries stay in place

  Entries::iterator iterator_of(const KeptPrefix* entry);
  Entries::iterator next_to_go(uint64_t most_bytes, const KeptPrefix* spared);
  static bool is_part_of(const KeptPrefix& prefix, const KeptPrefix& whole);

  KvPrice price_;
  Entries entries_;
};

}  // namespace potluck
