// The merges of a byte-pair vocabulary: pair of tokens -> rank and merged token. Open addressing in
// one array, because encoding is little more than looking up pairs that mostly are not there.
// Immutable once filled, then any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/random.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

struct Merge {
  uint32_t rank;  // lower merges first
  TokenId merged;
};

class MergeTable {
 public:
  // Room for `merges` entries.
  explicit MergeTable(size_t merges);

  // The first rank given to a pair stays. Tokens are not negative; at most `merges` calls.
  void insert(TokenId left, TokenId right, Merge merge);

  // Nothing (nullptr) when the pair does not merge.
  const Merge* find(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = mix64(key) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return &slots_[slot].merge;
      if (slots_[slot].key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // no pair of tokens has this key

  struct Slot {
    uint64_t key = kEmpty;
    Merge merge{0, 0};
  };

  static uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t mask_;
};

}  // namespace potluck
