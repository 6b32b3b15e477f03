#include "engine/grammar/constraint.h"

#include <utility>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"

namespace potluck {

// The first state takes a while in a large grammar, so it is not found before it is needed. Returns
// the work.
uint64_t Constraint::begin() const {
  GrammarWalk walk(masks_->grammar());
  state_ = std::make_shared<const GrammarState>(
      walk.copy(walk.at({masks_->grammar().entries[entry_], 0})));
  is_exhausted_ = walk.is_exhausted();
  return walk.work();
}

Result<std::shared_ptr<const TokenMask>> Constraint::allowed() const {
  (void)state();
  if (is_exhausted_) return too_ambiguous();
  if (is_prepared()) return search_->found();
  return masks_->allowed(state_, at_text_start_);
}

uint64_t Constraint::prepare(uint64_t budget) {
  uint64_t work = 0;
  if (budget > 0 && state_ == nullptr) work += begin();
  if (work >= budget || is_exhausted_) return work;
  if (search_ == nullptr) {
    search_ = std::make_shared<MaskSearch>(masks_.get(), state_, at_text_start_);
  }
  return work + search_->go_on(budget - work);
}

Status Constraint::accept(TokenId token) {
  std::string bytes = masks_->trie().bytes_of(token);
  const bool is_text = !bytes.starts_with(kControlByte);
  const bool strips = at_text_start_ && is_text && masks_->trie().strips_leading_space();
  if (strips && bytes.starts_with(' ')) bytes.erase(0, 1);
  GrammarWalk walk(masks_->grammar(), 0, limits::kTokenWork);
  GrammarWalk::State now = walk.import(state());
  for (const char byte : bytes) now = walk.step(now, static_cast<uint8_t>(byte));
  accept_work_ += walk.work();
  if (walk.is_exhausted() || is_exhausted_) return too_ambiguous();
  if (bytes.empty() || now == GrammarWalk::kDead) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("token {} is not what the grammar allows here", token)};
  }
  state_ = std::make_shared<const GrammarState>(walk.copy(now));
  search_.reset();
  at_text_start_ = at_text_start_ && !is_text;
  return {};
}

}  // namespace potluck
