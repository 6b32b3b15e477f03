// MaskQueue: which requests wait for the tokens that their grammars allow, and how much may be done
// for each in a turn of the engine: however much a grammar asks for, the steps of others are not
// held up by more than about 20 ms. Work is counted as limits::kMaskWork counts it. Of those that
// wait, the ones that have taken least come first, so that a grammar that takes little hardly waits
// for one that takes much; of these, one goes on at a time, with a share of every turn. Owned by
// the CompletionEngine; its thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "coordinator/serving/completion.h"

namespace potluck {

class MaskQueue {
 public:
  struct Piece {
    CompletionId id = 0;
    uint64_t budget = 0;
  };

  void begin_turn();
  // What a request may do at once, when its step has ended; 0: it has to wait.
  uint64_t at_once() const;
  // So much was done, for a request that does not wait, or for its next token.
  void spend(uint64_t work) { left_ -= work < left_ ? work : left_; }

  // It waits; so much was done for it already.
  void add(CompletionId id, uint64_t work) { waiting_[id] = work; }
  // Who may go on in this turn, and how far; nothing: it is over, or none is there.
  std::optional<Piece> next() const;
  // So much was done of the piece, at least 1.
  void spend(const Piece& piece, uint64_t work);
  void remove(CompletionId id) { waiting_.erase(id); }

 private:
  std::optional<CompletionId> smallest() const;
  std::optional<CompletionId> first_large() const;

  std::map<CompletionId, uint64_t> waiting_;  // work so far
  uint64_t left_ = 0;                         // of this turn
  uint64_t left_for_large_ = 0;               // beside that
};

}  // namespace potluck
