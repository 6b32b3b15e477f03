// TokenTrie: the tokens of a vocabulary as a tree of their bytes, in the order in which a walk
// meets them. Tokens that end an answer are not in it, and of those that control a conversation
// only the marks that a chat template writes around reasoning and calls: behind a byte that no text
// has, so that a grammar can tell them from text that spells the same. Immutable; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

// Stands before the name of a control token; never a part of UTF-8.
inline constexpr char kControlByte = '\xFF';

class TokenTrie {
 public:
  struct Node {
    uint8_t byte = 0;
    uint32_t end = 0;     // behind the last node below this one
    uint32_t tokens = 0;  // where those that end here begin; they end where the next node's begin
  };

  TokenTrie(const Tokenizer& tokenizer, std::span<const std::string> marks);

  // Nodes in the order of a walk; one more at the end, which is none.
  const std::vector<Node>& nodes() const { return nodes_; }
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()) - 1; }
  std::span<const TokenId> tokens_at(uint32_t node) const {
    return std::span(tokens_).subspan(nodes_[node].tokens,
                                      nodes_[node + 1].tokens - nodes_[node].tokens);
  }
  std::span<const TokenId> ends() const { return ends_; }
  // The bytes by which a grammar reads a token that is in the tree; else nothing.
  std::string bytes_of(TokenId token) const;

  uint32_t vocabulary_size() const { return vocabulary_; }
  uint32_t longest() const { return longest_; }  // bytes
  // The first token of a text loses a space at its beginning.
  bool strips_leading_space() const { return strips_space_; }

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> marks_;
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::vector<TokenId> ends_;
  uint32_t vocabulary_ = 0;
  uint32_t longest_ = 0;
  bool strips_space_ = false;
};

}  // namespace potluck
