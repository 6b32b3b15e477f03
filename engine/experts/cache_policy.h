// CachePolicy: which grains stay in memory. Pure: it knows names and sizes, no bytes, so that
// traces can drive it in tests. Least recently used, over one global budget. One thread.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/base/hash.h"

namespace potluck {

class CachePolicy {
 public:
  explicit CachePolicy(uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

  void begin_step(uint32_t) {}
  void admit(const Digest& key, bool) { (void)insert(key, uint64_t{1}); }
  template <class Free>
  std::optional<Digest> victim(bool, const Free& free) {
    for (auto entry = order_.rbegin(); entry != order_.rend(); ++entry) {
      if (free(entry->key)) return entry->key;
    }
    return std::nullopt;
  }

  // True if the grain is in; it is then the most recently used.
  bool touch(const Digest& key);
  // Takes the grain in, as the most recently used, and returns what has to leave, coldest first. A
  // grain larger than the whole budget is not taken (it is then itself in the list).
  std::vector<Digest> insert(const Digest& key, uint64_t bytes);
  void erase(const Digest& key);

  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  struct Entry {
    Digest key;
    uint64_t bytes;
  };
  uint64_t budget_bytes_;
  uint64_t used_bytes_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
  std::list<Entry> order_;  // most recently used first
  std::unordered_map<Digest, std::list<Entry>::iterator> entries_;
};

}  // namespace potluck
