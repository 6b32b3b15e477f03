// The part in which tokenizers differ: turning a stretch of plain text, free of special tokens,
// into tokens. Owned by a tokenizer; const methods may be called from any thread at once.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;

  // Appends the tokens of `text`, which is not empty and valid UTF-8. `starts` tells that nothing
  // or a special token comes before it.
  virtual Status encode(std::string_view text, bool starts, std::vector<TokenId>* out) const = 0;

  // Whether a begin-of-text token is put first when the file does not say.
  virtual bool adds_begin() const = 0;
  virtual bool adds_leading_space() const = 0;
};

}  // namespace potluck
