// ConstraintSupply: the constraint that a request begins with. The tree of the vocabulary's tokens
// is made when the first one is asked for; what was found for a grammar is shared by all requests
// that bring an equal one, and kept for some of the latest. Owned by the CompletionEngine; its
// thread.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "engine/chat/answer_grammar.h"
#include "engine/grammar/constraint.h"

namespace potluck {

class ConstraintSupply {
 public:
  // `tokenizer` may be null; then nothing may be asked for. It must outlive the object.
  ConstraintSupply(const Tokenizer* tokenizer, std::vector<std::string> marks)
      : tokenizer_(tokenizer), marks_(std::move(marks)) {}

  Constraint make(const std::shared_ptr<const Grammar>& grammar, AnswerEntry entry);

 private:
  const Tokenizer* tokenizer_;
  const std::vector<std::string> marks_;
  std::unique_ptr<const TokenTrie> trie_;
  std::list<std::shared_ptr<TokenMasks>> latest_;  // the last one asked for first
};

}  // namespace potluck
