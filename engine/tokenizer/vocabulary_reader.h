// Reads and checks the tokenizer.ggml.* metadata of a vocabulary: every error a hostile or broken
// model file can hold is found here. Used once, by Vocabulary::read(), on one thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class VocabularyReader {
 public:
  VocabularyReader(const GgufMetadata& metadata, TokenizerModel model);

  Result<Vocabulary> read();

 private:
  // In the order in which read() takes them.
  Status read_texts();
  Status read_kinds();
  Status check_texts();
  void read_roles();
  void find_named_roles();
  Status store_bytes();
  void index_bytes();

  std::optional<TokenId> role(const std::string& key);
  // The token, where it is of this kind or of this name.
  std::optional<TokenId> customary(TokenId token, TokenKind kind, std::string_view name) const;
  void make_control(TokenId token);
  void settle_ends(const std::unordered_map<std::string, TokenId>& named);
  void take_as(TokenKind taken, TokenId token, const std::string& name, bool ends);
  std::string marker_name(TokenId token) const;
  std::unordered_set<std::string> names_of_markers() const;
  std::unordered_set<std::string> merged_candidates() const;
  Result<std::string> decode(TokenId token);
  void prefer_text_for_bytes();
  Error token_error(TokenId token, const std::string& what) const;
  void note(std::string text) { vocabulary_.notes_.push_back(std::move(text)); }

  TokenKind& kind(TokenId token) { return vocabulary_.kinds_[static_cast<size_t>(token)]; }
  TokenKind kind(TokenId token) const { return vocabulary_.kinds_[static_cast<size_t>(token)]; }
  const std::string& text(TokenId token) const { return texts_[static_cast<size_t>(token)]; }
  TokenId size() const { return static_cast<TokenId>(texts_.size()); }

  const GgufMetadata& metadata_;
  TokenizerModel model_;
  std::vector<std::string> texts_;  // as the file writes them
  std::vector<bool> reachable_;     // text tokens that some text can become; others are only shown
  std::string chat_template_;       // the model's own, or empty
  std::vector<std::string> mistyped_;  // markers that the file types as text
  Vocabulary vocabulary_;
};

}  // namespace potluck
