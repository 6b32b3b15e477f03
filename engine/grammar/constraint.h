// Constraint: where an answer is in its grammar. Told the tokens of the answer one after the other,
// it says which may come next; it depends on them alone, so the same tokens always lead to the same
// place. A plain value but for the masks, which constraints of the same grammar share. The thread
// of its masks.
#pragma once

#include <memory>
#include <span>

#include "engine/grammar/token_masks.h"

namespace potluck {

class Constraint {
 public:
  // `entry`: which of the grammar's.
  Constraint(std::shared_ptr<TokenMasks> masks, size_t entry);

  // For the next token. The error says why there is none.
  Result<std::shared_ptr<const TokenMask>> allowed() const;
  // An error if the grammar does not allow it; the constraint stays where it is then.
  Status accept(TokenId token);

  // The answer may end here.
  bool is_complete() const { return state_.is_complete; }
  // It has to.
  bool is_final() const { return state_.is_final(); }

 private:
  std::shared_ptr<TokenMasks> masks_;
  GrammarState state_;
  bool at_text_start_ = true;
};

}  // namespace potluck
