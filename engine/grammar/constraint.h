// Constraint: where an answer is in its grammar. Told the tokens of the answer one after the other,
// it says which may come next; it depends on them alone, so the same tokens always lead to the same
// place. A plain value but for the masks, which constraints of the same grammar share. The thread
// of its masks.
#pragma once

#include <memory>
#include <span>

#include "engine/grammar/mask_search.h"

namespace potluck {

class Constraint {
 public:
  // `entry`: which of the grammar's.
  Constraint(std::shared_ptr<TokenMasks> masks, size_t entry)
      : masks_(std::move(masks)), entry_(entry) {}

  // For the next token. The error says why there is none. Finds it at once, no matter how long
  // that takes, unless prepare() has.
  Result<std::shared_ptr<const TokenMask>> allowed() const;
  // Goes on finding it, for so much work, more only by what cannot be left in the middle
  // (limits::kByteWork). Returns what was done.
  uint64_t prepare(uint64_t budget);
  // There is nothing left for allowed() to find.
  bool is_prepared() const { return is_exhausted_ || (search_ != nullptr && search_->is_over()); }
  // An error if the grammar does not allow it; the constraint stays where it is then. Takes up to
  // limits::kTokenWork, and little more.
  Status accept(TokenId token);
  // What accept() has taken so far.
  uint64_t accept_work() const { return accept_work_; }

  // The answer may end here.
  bool is_complete() const { return state().is_complete; }
  // It has to.
  bool is_final() const { return state().is_final(); }

 private:
  const GrammarState& state() const {
    if (state_ == nullptr) (void)begin();
    return *state_;
  }
  uint64_t begin() const;

  std::shared_ptr<TokenMasks> masks_;
  size_t entry_;
  mutable std::shared_ptr<const GrammarState> state_;  // null until the first is asked for
  mutable bool is_exhausted_ = false;                  // looking for the first state took too much
  bool at_text_start_ = true;
  std::shared_ptr<MaskSearch> search_;  // of this state; null before prepare()
  uint64_t accept_work_ = 0;
};

}  // namespace potluck
