// SentencePiece-style encoding ("llama" in GGUF): text starts as single characters, and the pair of
// neighbors that makes the token with the best score is merged until none is left; characters
// without a token become byte tokens. Owned by a tokenizer; immutable, any thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/text_encoder.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class SentencePieceEncoder final : public TextEncoder {
 public:
  // `vocabulary` must outlive the encoder.
  static Result<std::unique_ptr<TextEncoder>> make(const GgufMetadata& metadata,
                                                   const Vocabulary& vocabulary);

  Status encode(std::string_view text, bool starts, std::vector<TokenId>* out) const override;
  bool adds_begin() const override { return true; }
  bool adds_leading_space() const override { return adds_leading_space_; }

 private:
  class Merger;

  SentencePieceEncoder(const Vocabulary& vocabulary, std::vector<float> scores,
                       bool adds_leading_space);

  const Vocabulary& vocabulary_;
  std::vector<float> scores_;  // [vocabulary]
  bool adds_leading_space_;
  // No token has a space after another character, so no merge crosses the beginning of a word and
  // words may be merged one by one.
  bool words_are_separate_;
};

}  // namespace potluck
