// Pre-tokenizers: how byte-level models cut text into words before merging, one row of a table per
// named rule set. Owned by an encoder; immutable, any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

struct pcre2_real_code_8;  // PCRE2's compiled pattern

namespace potluck {

struct PatternDeleter {
  void operator()(pcre2_real_code_8* pattern) const;
};
using Pattern = std::unique_ptr<pcre2_real_code_8, PatternDeleter>;

class PreTokenizer {
 public:
  using WordSink = std::function<Status(std::string_view)>;

  // `name` as in tokenizer.ggml.pre; unknown ones are refused with the list of known ones.
  static Result<PreTokenizer> make(const std::string& name);

  // Hands the words of `text`, which must be valid UTF-8, to `sink`, in order; together they are
  // the whole text. Stops at the first error of the sink.
  Status split(std::string_view text, const WordSink& sink) const;

  // A word that is a token itself is not built from merges (the published name: ignore_merges).
  bool keeps_whole_tokens() const { return keeps_whole_tokens_; }
  // A begin-of-text token is put first when the file does not say.
  bool adds_begin() const { return adds_begin_; }
  // Text is brought into canonical composition (NFC) before it is split; split() does not do it.
  bool composes() const { return composes_; }

 private:
  PreTokenizer() = default;

  std::vector<Pattern> patterns_;
  bool keeps_whole_tokens_ = false;
  bool adds_begin_ = false;
  bool composes_ = false;
};

}  // namespace potluck
