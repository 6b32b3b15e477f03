#include "engine/grammar/constraint.h"

#include <utility>

#include <fmt/format.h>

namespace potluck {

Constraint::Constraint(std::shared_ptr<TokenMasks> masks, size_t entry) : masks_(std::move(masks)) {
  GrammarWalk walk(masks_->grammar());
  state_ = walk.copy(walk.at({masks_->grammar().entries[entry], 0}));
}

Result<std::shared_ptr<const TokenMask>> Constraint::allowed() const {
  return masks_->allowed(state_, at_text_start_);
}

Status Constraint::accept(TokenId token) {
  std::string bytes = masks_->trie().bytes_of(token);
  const bool is_text = !bytes.starts_with(kControlByte);
  const bool strips = at_text_start_ && is_text && masks_->trie().strips_leading_space();
  if (strips && bytes.starts_with(' ')) bytes.erase(0, 1);
  GrammarWalk walk(masks_->grammar());
  GrammarWalk::State state = walk.import(state_);
  for (const char byte : bytes) state = walk.step(state, static_cast<uint8_t>(byte));
  if (bytes.empty() || state == GrammarWalk::kDead) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("token {} is not what the grammar allows here", token)};
  }
  state_ = walk.copy(state);
  at_text_start_ = at_text_start_ && !is_text;
  return {};
}

}  // namespace potluck
