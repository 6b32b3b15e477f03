#include "engine/tokenizer/merge_table.h"

#include <bit>

namespace potluck {

// At most half full, and never without an empty slot, at which every search ends.
MergeTable::MergeTable(size_t merges)
    : slots_(std::bit_ceil(2 * merges + 2)), mask_(slots_.size() - 1) {}

void MergeTable::insert(TokenId left, TokenId right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t slot = mix64(key) & mask_;
  while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask_;
  // The first rank of a pair stays: lower merges first.
  if (slots_[slot].key == kEmpty) slots_[slot] = {key, merge};
}

}  // namespace potluck
