#include "engine/experts/cache_policy.h"

namespace potluck {

bool CachePolicy::touch(const Digest& key) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    ++misses_;
    return false;
  }
  ++hits_;
  order_.splice(order_.begin(), order_, found->second);
  return true;
}

std::vector<Digest> CachePolicy::insert(const Digest& key, uint64_t bytes) {
  erase(key);  // it may be in already, with another size
  if (bytes > budget_bytes_) return {key};
  std::vector<Digest> evicted;
  while (used_bytes_ > budget_bytes_ - bytes) {
    evicted.push_back(order_.back().key);
    erase(order_.back().key);
  }
  order_.push_front({key, bytes});
  entries_[key] = order_.begin();
  used_bytes_ += bytes;
  return evicted;
}

void CachePolicy::erase(const Digest& key) {
  auto found = entries_.find(key);
  if (found == entries_.end()) return;
  used_bytes_ -= found->second->bytes;
  auto position = found->second;
  entries_.erase(found);
  order_.erase(position);  // last: `key` may live in it
}

}  // namespace potluck
