// Byte-pair encoding on characters ("gemma4" in GGUF): text is cut where lines end, each line
// starts as single characters, with spaces like any other, and neighbors are merged by rank.
// Characters without a token become byte tokens; line breaks that follow each other are one token
// where there is one. Owned by a tokenizer; immutable, any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/text_encoder.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {

class PairMerger;

class CharacterPairEncoder final : public TextEncoder {
 public:
  // `vocabulary` must outlive the encoder. What is odd about the merges is added to `notes`.
  static Result<std::unique_ptr<TextEncoder>> make(const GgufMetadata& metadata,
                                                   const Vocabulary& vocabulary,
                                                   std::vector<std::string>* notes);

  Status encode(std::string_view text, bool starts, std::vector<TokenId>* out) const override;
  bool adds_begin() const override { return true; }
  bool adds_leading_space() const override { return false; }

 private:
  CharacterPairEncoder(const Vocabulary& vocabulary, MergeTable merges)
      : vocabulary_(vocabulary), merges_(std::move(merges)) {}

  Status add_character(std::string_view character, PairMerger* merger) const;
  Status encode_line(std::string_view line, PairMerger* merger, std::vector<TokenId>* out) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
};

}  // namespace potluck
