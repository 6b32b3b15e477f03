// SentencePiece-style vocabularies write a space as U+2581, a visible mark. Pure functions; any
// thread.
#pragma once

#include <string>
#include <string_view>

namespace potluck {

// `text` with every U+2581 as a plain space.
std::string with_plain_spaces(std::string_view text);

}  // namespace potluck
