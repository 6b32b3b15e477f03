#include "engine/chat/prompt.h"

#include <algorithm>

namespace potluck {
namespace {

std::string name_of(const Tokenizer& tokenizer, std::optional<TokenId> token) {
  return token ? std::string(tokenizer.bytes_of(*token)) : std::string();
}

}  // namespace

TemplateSetting template_setting(const Tokenizer& tokenizer, int64_t local_seconds) {
  return {name_of(tokenizer, tokenizer.begin_token()), name_of(tokenizer, tokenizer.end_token()),
          local_seconds};
}

Result<std::vector<TokenId>> encode_prompt(const Tokenizer& tokenizer, const MarkedText& text) {
  const std::vector<TextSegment> segments = text.segments();
  auto tokens = tokenizer.encode(segments);
  if (!tokens) return tokens.error().in("prompt");
  const std::vector<TokenId> prefix = tokenizer.prompt_prefix();
  // Twice the token is what no model was trained on. Many templates write bos_token, and many files
  // ask for it as well.
  const bool written =
      tokens->size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), tokens->begin());
  if (!written) tokens->insert(tokens->begin(), prefix.begin(), prefix.end());
  return tokens;
}

Result<std::vector<TokenId>> encode_plain_text(const Tokenizer& tokenizer, std::string_view text) {
  // A plain prompt may come from a client; the markers in it are text.
  auto encoded = tokenizer.encode(text, SpecialTokens::kAsText);
  if (!encoded) return encoded.error();
  std::vector<TokenId> tokens = tokenizer.prompt_prefix();
  tokens.insert(tokens.end(), encoded->begin(), encoded->end());
  return tokens;
}

}  // namespace potluck
