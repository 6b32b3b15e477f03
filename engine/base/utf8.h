// UTF-8 as RFC 3629 defines it: checking text from outside, and cutting a stream of bytes into
// characters without ever tearing one. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace potluck {

// U+FFFD, which stands for bytes that are no character.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

enum class Utf8Kind {
  kCharacter,   // a whole character
  kUnfinished,  // the text ends inside of what may still become a character
  kInvalid,     // can never become a character, no matter what follows
};

struct Utf8Step {
  Utf8Kind kind;
  size_t bytes;  // at least 1; for kInvalid what one U+FFFD replaces, the "maximal subpart"
};

// What `text`, which must not be empty (CHECK), begins with.
Utf8Step first_utf8_step(std::string_view text);

// Offset of the first byte that does not belong to a whole character; nothing for valid text.
std::optional<size_t> find_invalid_utf8(std::string_view text);

// Takes the whole characters from the front of `bytes`, with U+FFFD for what can never become one.
// What may still become a character stays.
std::string take_characters(std::string* bytes);

// Bytes of the character that begins with `lead`, in text that is known to be valid.
inline size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte < 0x80) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

// The code point of the first character of `text`, which must be valid.
uint32_t decode_utf8(std::string_view text);

// `code_point` must be one that UTF-8 can express.
void append_utf8(uint32_t code_point, std::string* out);

}  // namespace potluck
