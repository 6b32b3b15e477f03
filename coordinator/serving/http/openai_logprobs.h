// Log-probabilities in the two forms of OpenAI's API. The texts of the tokens, one after the other,
// are the text of the answer: a token that ends inside a character has none of it, and the token
// that completes the character has all. The bytes are always the token's own. One object per
// choice.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "coordinator/serving/completion.h"
#include "engine/template/json.h"

namespace potluck {

// Alternatives of a token that a request may ask for: as many as chat completions have at OpenAI's.
// Its text completions take 5, other servers more.
inline constexpr int64_t kTopLogprobs = 20;

class TokenTexts {
 public:
  // The text of the next token.
  std::string next(std::string_view bytes);

 private:
  std::string pending_;  // the beginning of a character
};

// One entry for each token, as in /v1/responses.
JsonValue::Array logprob_entries(std::span<const ChosenLogprob> tokens, TokenTexts* texts);

// What stands under "logprobs" in /v1/chat/completions.
JsonValue chat_logprobs(const std::vector<ChosenLogprob>& tokens, TokenTexts* texts);

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of /v1/completions.
class LegacyLogprobs {
 public:
  void add(const std::vector<ChosenLogprob>& tokens);
  // What was added since the last time.
  JsonValue take();

 private:
  TokenTexts texts_;
  size_t offset_ = 0;  // in characters
  JsonValue::Array tokens_;
  JsonValue::Array logprobs_;
  JsonValue::Array top_;
  JsonValue::Array offsets_;
};

}  // namespace potluck
