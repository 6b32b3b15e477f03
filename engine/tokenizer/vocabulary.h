// The checked vocabulary of a model file: for each token its bytes, its kind and its role. Owned by
// the tokenizer that reads it; immutable, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

inline constexpr TokenId kNoToken = -1;

// What tokenizer.ggml.model names; it decides how the texts of the tokens are to be read.
enum class TokenizerModel {
  kBytePair,       // "gpt2": texts are written in the byte alphabet
  kSentencePiece,  // "llama": texts are UTF-8, with U+2581 for a space
  kCharacterPair,  // "gemma4": the same, but merges have ranks
};

enum class TokenKind : uint8_t {
  kText,         // what text is made of
  kUnknown,      // stands for what the vocabulary cannot express
  kControl,      // controls the conversation; text never becomes one
  kUserDefined,  // its name in the text becomes the token before anything else is done
  kUnused,       // text never becomes one
  kByte,         // one byte, for characters that have no token
  kMarker,       // its name in template text becomes the token; users' text never does; shown
};

class Vocabulary {
 public:
  static Result<Vocabulary> read(const GgufMetadata& metadata, TokenizerModel model);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  uint32_t size() const { return static_cast<uint32_t>(kinds_.size()); }
  bool contains(TokenId token) const {
    return token >= 0 && static_cast<size_t>(token) < kinds_.size();
  }

  // The token must be in the vocabulary (CHECK).
  TokenKind kind(TokenId token) const;
  // Text and byte tokens: the bytes they stand for; all others: their name.
  std::string_view bytes_of(TokenId token) const;

  bool is_end(TokenId token) const;
  std::optional<TokenId> begin_token() const { return begin_; }
  // The end-of-text token among all that end a generation.
  std::optional<TokenId> end_token() const { return end_; }
  // Stands for what has no token; always of kind kUnknown.
  std::optional<TokenId> unknown_token() const { return unknown_; }

  // What is odd about the file's vocabulary and the user should know.
  const std::vector<std::string>& notes() const { return notes_; }

  // The text token that stands for exactly these bytes, or kNoToken. Never a token of another kind.
  TokenId find_text(std::string_view bytes) const;
  // The token for a byte that no longer token covers, or kNoToken.
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  // Bytes of the longest text token.
  size_t longest_text() const { return longest_text_; }

 private:
  friend class VocabularyReader;
  Vocabulary() { byte_tokens_.fill(kNoToken); }

  std::vector<TokenKind> kinds_;
  std::vector<char> bytes_;        // of all tokens, end to end; by_bytes_ has views into it
  std::vector<uint64_t> offsets_;  // [size + 1], into bytes_
  std::unordered_map<std::string_view, TokenId> by_bytes_;
  std::array<TokenId, 256> byte_tokens_;
  std::vector<TokenId> ends_;
  std::optional<TokenId> begin_;
  std::optional<TokenId> end_;
  std::optional<TokenId> unknown_;
  size_t longest_text_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace potluck
