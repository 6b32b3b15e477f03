// PairMerger: merges the neighbors of a word, lowest rank first, until no two merge. The symbols of
// a word form a linked list; a heap holds the merges that neighbors allow. A merge leaves outdated
// candidates in the heap: they are known by symbols that have changed since. O(n log n) for a word
// of n symbols; looking for the best pair after each merge would be O(n^2), and a megabyte without
// a space is one word. Memory is kept from word to word; one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class PairMerger {
 public:
  // The table must outlive the merger.
  explicit PairMerger(const MergeTable& merges) : merges_(merges) {}

  // A word, symbol by symbol.
  void clear() { symbols_.clear(); }
  void add(TokenId token);
  // Appends the tokens that become of it.
  void merge(std::vector<TokenId>* out);

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;

  struct Symbol {
    TokenId token;  // kNoToken once it was merged into its left neighbor
    uint32_t previous;
    uint32_t next;
  };

  struct Candidate {
    Merge merge;
    uint32_t left;
    TokenId left_token;
    TokenId right_token;

    // Order of the heap, whose top is its greatest: lowest rank, then leftmost. Leftmost among
    // equals is what the reference implementations do: in "aaa" the first two merge.
    bool operator<(const Candidate& other) const {
      if (merge.rank != other.merge.rank) return merge.rank > other.merge.rank;
      return left > other.left;
    }
  };

  void add_candidate(uint32_t left);
  void merge_best();

  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace potluck
