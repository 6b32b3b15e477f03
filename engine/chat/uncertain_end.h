// Marks in a text that comes in pieces: what may still become one is held back. Pure functions.
#pragma once

#include <algorithm>
#include <string_view>

namespace potluck {

inline constexpr std::string_view kWhiteSpace = " \t\r\n";

inline std::string_view without_space_at_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kWhiteSpace);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

inline std::string_view trimmed(std::string_view text) {
  text = without_space_at_end(text);
  text.remove_prefix(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
  return text;
}

// Bytes at the end of `text` that may be the beginning of `mark`, white space before it included.
inline size_t uncertain_end(std::string_view text, std::string_view mark) {
  size_t begin = text.size();
  for (size_t length = std::min(text.size(), mark.size() - 1); length > 0; --length) {
    if (!text.ends_with(mark.substr(0, length))) continue;
    begin = text.size() - length;
    break;
  }
  return text.size() - without_space_at_end(text.substr(0, begin)).size();
}

}  // namespace potluck
