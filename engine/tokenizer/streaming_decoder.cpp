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

  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = first_utf8_step(rest);
    if (step.kind == Utf8Kind::kUnfinished) break;
    text += step.kind == Utf8Kind::kCharacter ? rest.substr(0, step.bytes) : kReplacementCharacter;
    rest.remove_prefix(step.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string StreamingDecoder::finish() {
  // What is pending is always the beginning of one character that never came.
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace potluck
