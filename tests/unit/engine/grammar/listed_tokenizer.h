// ListedTokenizer: a vocabulary that a test lists, with a token for each byte behind its own ones,
// and one that ends a text. It encodes nothing. One thread.
#pragma once

#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck::test {

class ListedTokenizer final : public Tokenizer {
 public:
  explicit ListedTokenizer(std::vector<std::string> tokens, bool with_bytes = true) {
    for (std::string& token : tokens) tokens_.push_back({std::move(token), false});
    for (int byte = 0; with_bytes && byte < 256; ++byte) {
      tokens_.push_back({std::string(1, static_cast<char>(byte)), false});
    }
    end_ = add_control("<end>");
  }

  TokenId add_control(std::string name) {
    tokens_.push_back({std::move(name), true});
    return static_cast<TokenId>(tokens_.size() - 1);
  }
  void strip_leading_space() { strips_space_ = true; }
  TokenId end() const { return end_; }
  TokenId longest_at(std::string_view text, size_t at) const {
    TokenId longest = -1;
    size_t bytes = 0;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const std::string& token = tokens_[i].bytes;
      if (tokens_[i].is_control || token.size() <= bytes) continue;
      if (!text.substr(at).starts_with(token)) continue;
      longest = static_cast<TokenId>(i);
      bytes = token.size();
    }
    return longest;
  }

  Result<std::vector<TokenId>> encode(std::string_view, SpecialTokens) const override {
    return std::vector<TokenId>();
  }
  Result<std::vector<TokenId>> encode(std::span<const TextSegment>) const override {
    return std::vector<TokenId>();
  }
  std::string_view bytes_of(TokenId token) const override {
    const auto index = static_cast<size_t>(token);
    return token >= 0 && index < tokens_.size() ? tokens_[index].bytes : std::string_view();
  }
  bool is_control(TokenId token) const override {
    return tokens_[static_cast<size_t>(token)].is_control;
  }
  bool is_end(TokenId token) const override { return token == end_; }
  uint32_t vocabulary_size() const override { return static_cast<uint32_t>(tokens_.size()); }
  std::vector<TokenId> prompt_prefix() const override { return {}; }
  std::optional<TokenId> begin_token() const override { return {}; }
  std::optional<TokenId> end_token() const override { return end_; }
  bool strips_leading_space() const override { return strips_space_; }

 private:
  struct Listed {
    std::string bytes;
    bool is_control;
  };
  std::vector<Listed> tokens_;
  TokenId end_ = -1;
  bool strips_space_ = false;
};

}  // namespace potluck::test
