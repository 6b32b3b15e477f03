// The table of pre-tokenizers. Each pattern cuts every piece the patterns before it have left:
// matches and what lies between them become pieces of their own. Constant data.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace potluck {

struct PreTokenizerRow {
  std::string_view names;                    // as in tokenizer.ggml.pre, separated by spaces
  std::array<std::string_view, 6> patterns;  // Perl syntax; \s is Unicode's White_Space
  bool keeps_whole_tokens = false;
  bool adds_begin = false;
  bool composes = false;
};

std::span<const PreTokenizerRow> pre_tokenizer_table();

}  // namespace potluck
