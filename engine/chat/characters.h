// What the template language asks of single characters of UTF-8 text: white space, lines, letters
// of either case, and counting in characters instead of bytes. Text must be valid UTF-8. Pure; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace potluck {

// White space as Python's str.isspace() knows it.
bool is_space(uint32_t code_point);
// Not shown as itself by Python's repr(): control characters, separators, unassigned.
bool is_printable(uint32_t code_point);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);

size_t count_characters(std::string_view text);
// Where the character with this index begins; the end of the text if there are not so many.
size_t character_offset(std::string_view text, size_t index);

// The lines of str.splitlines(), without their ends, as byte ranges of `text`.
struct ByteRange {
  size_t begin;
  size_t end;
};
std::vector<ByteRange> split_lines(std::string_view text);

// Letters of ASCII, Latin-1, Greek and Cyrillic change; others stay. The length in bytes never
// changes, so marks keep their places.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);

}  // namespace potluck
