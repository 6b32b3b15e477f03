#include "coordinator/serving/prefix_cache.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {
namespace {

uint32_t usable(const KeptPrefix& entry, uint32_t common) {
  return std::max(entry.cache->copyable(common), entry.cache->reachable(common));
}

}  // namespace

uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  size_t most = std::min(a.size(), b.size());
  auto end = a.begin() + static_cast<ptrdiff_t>(most);
  return static_cast<uint32_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

std::optional<PrefixCache::Match> PrefixCache::find(std::span<const TokenId> tokens) const {
  std::optional<Match> best;
  uint32_t most = 0;
  for (const KeptPrefix& entry : entries_) {
    uint32_t common = common_prefix(entry.tokens, tokens);
    if (common == 0) continue;
    uint32_t use = usable(entry, common);
    bool is_shorter = best && use == most && entry.tokens.size() < best->entry->tokens.size();
    if (best && use <= most && !is_shorter) continue;
    best = Match{&entry, common};
    most = use;
  }
  return best;
}

PrefixCache::Entries::iterator PrefixCache::iterator_of(const KeptPrefix* entry) {
  auto found = std::ranges::find_if(entries_, [&](const KeptPrefix& e) { return &e == entry; });
  CHECK(found != entries_.end());
  return found;
}

void PrefixCache::note_use(const KeptPrefix* entry) {
  auto found = iterator_of(entry);
  ++found->uses;
  entries_.splice(entries_.end(), entries_, found);
}

KeptPrefix PrefixCache::take(const KeptPrefix* entry) {
  auto found = iterator_of(entry);
  KeptPrefix taken = std::move(*found);
  entries_.erase(found);
  return taken;
}

bool PrefixCache::is_part_of(const KeptPrefix& prefix, const KeptPrefix& whole) {
  auto length = static_cast<uint32_t>(prefix.tokens.size());
  return common_prefix(prefix.tokens, whole.tokens) == length &&
         whole.cache->copyable(length) == length;
}

void PrefixCache::keep(KeptPrefix prefix) {
  CHECK(prefix.tokens.size() == prefix.cache->length());
  if (prefix.tokens.empty()) return;
  for (const KeptPrefix& entry : entries_) {
    if (is_part_of(prefix, entry)) return note_use(&entry);
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    bool is_part = is_part_of(*entry, prefix);
    if (is_part) prefix.uses = std::max(prefix.uses, entry->uses);
    entry = is_part ? entries_.erase(entry) : std::next(entry);
  }
  entries_.push_back(std::move(prefix));
}

void PrefixCache::shrink(uint64_t most_bytes, const KeptPrefix* spared) {
  for (uint64_t all = bytes(); all > most_bytes; all = bytes()) {
    auto next = next_to_go(most_bytes, spared);
    if (next == entries_.end()) return;
    entries_.erase(next);
  }
}

// Entries that were begun from are spared while they take at most three quarters of the memory:
// otherwise what was shared once would stay for ever.
PrefixCache::Entries::iterator PrefixCache::next_to_go(uint64_t most_bytes,
                                                       const KeptPrefix* spared) {
  uint64_t used_bytes = 0;
  for (const KeptPrefix& entry : entries_) {
    if (entry.uses > 0) used_bytes += bytes_of(&entry);
  }
  bool spares_used = used_bytes <= most_bytes / 4 * 3;
  auto may_go = [&](const KeptPrefix& entry) { return &entry != spared; };
  auto first = std::ranges::find_if(entries_, [&](const KeptPrefix& entry) {
    return may_go(entry) && !(spares_used && entry.uses > 0);
  });
  return first != entries_.end() ? first : std::ranges::find_if(entries_, may_go);
}

uint64_t PrefixCache::bytes() const {
  uint64_t bytes = 0;
  for (const KeptPrefix& entry : entries_) bytes += bytes_of(&entry);
  return bytes;
}

}  // namespace potluck
