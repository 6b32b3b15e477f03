// TokenMasks: for the states of one grammar, which tokens of one vocabulary may come next. What has
// been found is kept, within limits::kMaskBytes: both for whole states, and for the innermost rule
// alone, which most states share with many others. Results do not depend on what is kept. They are
// found by a MaskSearch (mask_search.h). One thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/result.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_walk.h"
#include "engine/grammar/token_trie.h"

namespace potluck {

class TokenMask {
 public:
  explicit TokenMask(uint32_t vocabulary) : words_((vocabulary + 63) / 64) {}

  void allow(TokenId token) { words_[index(token)] |= bit(token); }
  bool allows(TokenId token) const {
    return token >= 0 && index(token) < words_.size() && (words_[index(token)] & bit(token)) != 0;
  }
  bool is_empty() const;
  uint32_t count() const;
  // A bit for each token.
  const std::vector<uint64_t>& words() const { return words_; }
  void add(const TokenMask& other);
  uint64_t bytes() const { return words_.size() * sizeof(uint64_t); }

 private:
  static size_t index(TokenId token) { return static_cast<size_t>(token) / 64; }
  static uint64_t bit(TokenId token) { return uint64_t{1} << (static_cast<size_t>(token) % 64); }

  std::vector<uint64_t> words_;
};

// What one frame allows: what its rule allows by itself, and the nodes of the tree at which the
// rule has ended while tokens go on.
struct FrameTokens {
  std::vector<TokenId> few;         // either these
  std::unique_ptr<TokenMask> many;  // or these
  std::vector<uint32_t> leaves;
  uint64_t work = 0;
  bool is_exhausted = false;

  uint64_t bytes() const;
};

// Why there is no mask: the grammar asks for more than is allowed.
Error too_ambiguous();

class TokenMasks {
 public:
  // The trie must outlive the object.
  TokenMasks(std::shared_ptr<const Grammar> grammar, const TokenTrie& trie)
      : grammar_(std::move(grammar)), trie_(trie) {}

  const Grammar& grammar() const { return *grammar_; }
  const TokenTrie& trie() const { return trie_; }
  uint64_t bytes() const { return bytes_; }  // of what is kept

  // Tokens after which the text can still be finished; those that end it where it may end. At the
  // start of a text a token may lose its leading space. An error where there are none, or where
  // finding them takes too much.
  Result<std::shared_ptr<const TokenMask>> allowed(const std::shared_ptr<const GrammarState>& state,
                                                   bool at_text_start);

 private:
  friend class MaskSearch;

  std::shared_ptr<const TokenMask> known(const std::string& key) const;
  void keep(std::string key, std::shared_ptr<const TokenMask> mask);
  std::shared_ptr<const FrameTokens> known_frame(const std::string& key) const;
  void keep_frame(const std::string& key, std::shared_ptr<const FrameTokens> tokens);
  void make_room(uint64_t bytes);

  const std::shared_ptr<const Grammar> grammar_;
  const TokenTrie& trie_;
  std::unordered_map<std::string, std::shared_ptr<const TokenMask>> masks_;
  std::unordered_map<std::string, std::shared_ptr<const FrameTokens>> frames_;
  uint64_t bytes_ = 0;
};

}  // namespace potluck
