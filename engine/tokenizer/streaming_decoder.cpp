// Bytes of tokens are collected and given out up to the last whole character: a character may take
// up to four tokens.
#include <utility>

#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

std::string StreamingDecoder::push(TokenId token) {
  if (tokenizer_.is_control(token)) return {};
  std::string_view bytes = tokenizer_.bytes_of(token);
  if (bytes.empty()) return {};
  if (at_start_ && tokenizer_.strips_leading_space() && bytes.front() == ' ') {
    bytes.remove_prefix(1);
  }
  at_start_ = false;
  pending_ += bytes;
  return take_characters(&pending_);
}

std::string StreamingDecoder::finish() {
  // What is pending is the beginning of one character whose rest never came.
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace potluck
