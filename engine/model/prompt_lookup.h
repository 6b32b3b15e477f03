// PromptLookup: drafts the next tokens of a text by prompt lookup: what followed the last time the
// text ended in the same n-gram. The index of n-grams is updated with every token, so a token costs
// the same few operations however long the text is. Drafts depend on the tokens alone. One object
// per text; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

struct LookupProposal {
  std::vector<TokenId> tokens = {};  // empty: nothing that stands there begins alike
  uint32_t matched = 0;              // tokens that are the same before, counted up to kMostMatched
};

class PromptLookup {
 public:
  static constexpr uint32_t kMostMatched = 16;

  // `positions`: how long the text may become. Where it is very long, the index forgets what came
  // first.
  explicit PromptLookup(uint32_t positions);

  // Takes in what was added. `tokens` is all of the text, which only grows (CHECK).
  void update(std::span<const TokenId> tokens);
  // At most so many tokens to follow the text, which update() was told. Where the earlier
  // occurrence reaches into its own continuation, the text is taken to repeat itself.
  LookupProposal propose(std::span<const TokenId> tokens, uint32_t most) const;

 private:
  // The longest is looked for first.
  static constexpr std::array<uint32_t, 2> kLengths = {4, 2};

  // Where the n-gram that ends the text has ended before; 0: nowhere.
  struct Index {
    std::vector<uint32_t>
        ends;  // by hash: where the n-gram ended last; a later one takes its place
    uint32_t before = 0;
  };

  std::array<Index, kLengths.size()> indexes_;
  size_t known_ = 0;  // tokens
};

}  // namespace potluck
