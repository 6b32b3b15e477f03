// Lists of token ids as people give them: a JSON array of whole numbers. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace potluck {

// At least one id below limits::kVocabulary. The error names the entry and what was found there.
// Time and memory are linear in the length of the text, regardless of its content.
Result<std::vector<TokenId>> parse_token_list(std::string_view json);

}  // namespace potluck
