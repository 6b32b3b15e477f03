// MaskSearch: finds which tokens may come next in one state of a grammar, in pieces, so that what
// takes long holds nothing else up. Where it is left in the middle changes nothing in what it
// finds. Owned by a Constraint; the thread of its TokenMasks.
//
// Each way of the state is taken by itself: the innermost rule first, over the whole tree of
// tokens, then, from the nodes at which the rule has ended, what is around it.
#pragma once

#include <optional>
#include <unordered_set>

#include "engine/grammar/token_masks.h"

namespace potluck {

// A walk through a part of the tree of tokens.
class TreeWalk {
 public:
  TreeWalk(const TokenTrie& trie, uint32_t begin, uint32_t end, GrammarWalk::State start)
      : trie_(trie), at_(begin), end_(end), path_{{end, start}} {}

  // visit(node, state) for each node that can be read, and the state behind it, until the walk's
  // work is `until`. Returns whether it has come to its end.
  template <class Visit>
  bool go_on(GrammarWalk* walk, uint64_t until, const Visit& visit);

 private:
  struct Level {
    uint32_t end;
    GrammarWalk::State state;
  };

  const TokenTrie& trie_;
  uint32_t at_;
  uint32_t end_;
  std::vector<Level> path_;
};

class MaskSearch {
 public:
  // The masks must outlive the search.
  MaskSearch(TokenMasks* masks, std::shared_ptr<const GrammarState> state, bool at_text_start);

  // Goes on for so much work, more only by what cannot be left in the middle (limits::kByteWork).
  // Returns what was done.
  uint64_t go_on(uint64_t budget);
  bool is_over() const { return found_.has_value(); }
  // Then: what was found, or why there is nothing.
  const Result<std::shared_ptr<const TokenMask>>& found() const { return *found_; }

 private:
  void advance(uint64_t until);
  void advance_text_start(uint64_t until);
  void begin_way();
  void find_frame(uint64_t until);
  void add_frame();
  void add_around(uint64_t until);
  void end_way();
  void finish();
  void fail() { found_ = too_ambiguous(); }
  uint64_t spent() const { return spent_ + (walk_ ? walk_->work() : 0); }
  void drop_walk();
  void allow_at(uint32_t node);

  enum class Stage : uint8_t { kTextStart, kBeginWay, kFrame, kAround };

  TokenMasks& masks_;
  const TokenTrie& trie_;
  const std::shared_ptr<const GrammarState> state_;
  std::string key_;
  std::optional<Result<std::shared_ptr<const TokenMask>>> found_;

  std::optional<TokenMask> mask_;
  Stage stage_;
  uint64_t work_ = 0;                     // as if nothing were known: what limits::kMaskWork bounds
  uint64_t spent_ = 0;                    // in fact, but for that of the walk
  size_t way_ = 0;                        // stack of the state
  std::unordered_set<std::string> seen_;  // keys of frames
  std::string frame_key_;
  std::shared_ptr<FrameTokens> making_;        // what the innermost rule allows, while it is found
  std::shared_ptr<const FrameTokens> tokens_;  // the same, once it is
  size_t leaf_ = 0;                            // of these
  uint32_t branch_ = 0;                        // at a text's start: of the tree's first nodes
  std::optional<GrammarWalk> walk_;
  GrammarWalk::State around_ = GrammarWalk::kDead;  // or where a text starts
  std::optional<TreeWalk> tree_;
};

}  // namespace potluck
