#include "coordinator/serving/constraint_supply.h"

#include <algorithm>

namespace potluck {
namespace {

// Each keeps up to limits::kMaskBytes.
constexpr size_t kKeptGrammars = 4;

}  // namespace

Constraint ConstraintSupply::make(const std::shared_ptr<const Grammar>& grammar,
                                  AnswerEntry entry) {
  if (trie_ == nullptr) trie_ = std::make_unique<const TokenTrie>(*tokenizer_, marks_);
  const auto known = std::ranges::find_if(latest_, [&](const std::shared_ptr<TokenMasks>& masks) {
    return masks->grammar() == *grammar;
  });
  if (known == latest_.end()) {
    latest_.push_front(std::make_shared<TokenMasks>(grammar, *trie_));
    if (latest_.size() > kKeptGrammars) latest_.pop_back();
  } else {
    latest_.splice(latest_.begin(), latest_, known);
  }
  return {latest_.front(), static_cast<size_t>(entry)};
}

}  // namespace potluck
