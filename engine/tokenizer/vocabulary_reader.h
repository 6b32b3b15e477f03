// Reads and checks the tokenizer.ggml.* metadata of a vocabulary: every error a hostile or broken
// model file can hold is found here. Used once, by Vocabulary::read(), on one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class VocabularyReader {
 public:
  VocabularyReader(const GgufMetadata& metadata, TokenizerModel model)
      : metadata_(metadata), model_(model) {}

  Result<Vocabulary> read();

 private:
  // In the order in which read() takes them.
  Status read_texts();
  Status read_kinds();
  Status check_texts() const;
  Status read_roles();
  Status store_bytes();
  Status index_bytes();

  Result<std::optional<TokenId>> role(const std::string& key) const;
  std::optional<TokenId> customary(TokenId token, TokenKind kind) const;
  void make_control(TokenId token);
  void find_named_roles();
  Result<std::string> decode(TokenId token);
  void prefer_text_for_bytes();
  Error token_error(TokenId token, const std::string& what) const;

  TokenKind& kind(TokenId token) { return vocabulary_.kinds_[static_cast<size_t>(token)]; }
  TokenKind kind(TokenId token) const { return vocabulary_.kinds_[static_cast<size_t>(token)]; }
  const std::string& text(TokenId token) const { return texts_[static_cast<size_t>(token)]; }
  TokenId size() const { return static_cast<TokenId>(texts_.size()); }

  const GgufMetadata& metadata_;
  TokenizerModel model_;
  std::vector<std::string> texts_;  // as the file writes them
  std::vector<bool> reachable_;     // text tokens that some text can become; others are only shown
  Vocabulary vocabulary_;
};

}  // namespace potluck
