#include "engine/tokenizer/pair_merger.h"

#include <algorithm>

namespace potluck {

void PairMerger::add(TokenId token) {
  const auto index = static_cast<uint32_t>(symbols_.size());
  symbols_.push_back({token, index - 1, index + 1});
}

void PairMerger::merge(std::vector<TokenId>* out) {
  if (symbols_.empty()) return;
  symbols_.front().previous = kEnd;
  symbols_.back().next = kEnd;
  for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) add_candidate(i);
  while (!heap_.empty()) merge_best();
  for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) out->push_back(symbols_[i].token);
}

void PairMerger::add_candidate(uint32_t left) {
  const Symbol& symbol = symbols_[left];
  if (symbol.next == kEnd) return;
  const TokenId right_token = symbols_[symbol.next].token;
  const Merge* merge = merges_.find(symbol.token, right_token);
  if (merge == nullptr) return;
  heap_.push_back({*merge, left, symbol.token, right_token});
  std::push_heap(heap_.begin(), heap_.end());
}

void PairMerger::merge_best() {
  const Candidate best = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  Symbol& left = symbols_[best.left];
  // Symbols only grow, so the same tokens mean that nothing has happened to the pair.
  if (left.token != best.left_token || left.next == kEnd) return;
  Symbol& right = symbols_[left.next];
  if (right.token != best.right_token) return;
  left.token = best.merge.merged;
  right.token = kNoToken;
  left.next = right.next;
  if (left.next != kEnd) symbols_[left.next].previous = best.left;
  // Only the merged symbol has new neighbors, so only these two pairs are new.
  if (left.previous != kEnd) add_candidate(left.previous);
  add_candidate(best.left);
}

}  // namespace potluck
