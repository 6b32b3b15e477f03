// From a written conversation to the tokens of a prompt. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "engine/chat/chat_template.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

TemplateSetting template_setting(const Tokenizer& tokenizer, int64_t local_seconds);

// Control tokens come from what the template wrote alone. A begin-of-text token that the vocabulary
// asks for is put first unless the template has written it.
Result<std::vector<TokenId>> encode_prompt(const Tokenizer& tokenizer, const MarkedText& text);

// Text that no template wrote: behind the begin-of-text token that the vocabulary asks for, and
// itself without control tokens, no matter what it spells.
Result<std::vector<TokenId>> encode_plain_text(const Tokenizer& tokenizer, std::string_view text);

}  // namespace potluck
