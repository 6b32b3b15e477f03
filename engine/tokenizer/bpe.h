// Byte-level byte-pair encoding ("gpt2" in GGUF): text is cut into words, each word starts as
// single bytes, and the pair of neighbors with the lowest rank is merged until none is left. Owned
// by a tokenizer; immutable, any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/composer.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/text_encoder.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class BytePairEncoder final : public TextEncoder {
 public:
  // `vocabulary` must outlive the encoder. What is odd about the merges is added to `notes`.
  static Result<std::unique_ptr<TextEncoder>> make(const GgufMetadata& metadata,
                                                   const Vocabulary& vocabulary,
                                                   std::vector<std::string>* notes);

  Status encode(std::string_view text, bool starts, std::vector<TokenId>* out) const override;
  bool adds_begin() const override { return pre_tokenizer_.adds_begin(); }
  bool adds_leading_space() const override { return false; }

 private:
  class WordMerger;

  BytePairEncoder(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer, MergeTable merges);

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  std::optional<Composer> composer_;  // where the pre-tokenizer composes
};

}  // namespace potluck
