// The alphabet in which byte-level vocabularies write bytes as visible characters: GPT-2's. Bytes
// that print in Latin-1 stand for themselves, the other 68 are U+0100, U+0101, ... in order, so a
// space is U+0120. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace potluck {

// The bytes that `text` writes; nothing when a character of it is not in the alphabet.
std::optional<std::string> decode_byte_alphabet(std::string_view text);

}  // namespace potluck
