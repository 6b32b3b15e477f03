// What the template language asks of single characters of UTF-8 text: white space, lines, letters
// of either case, and counting in characters instead of bytes. Text must be valid UTF-8. Pure; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

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

struct ByteRange {
  size_t begin;
  size_t end;
};

// The lines of str.splitlines(), without their ends, as byte ranges of a text, one after another.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  std::optional<ByteRange> next();

 private:
  std::string_view text_;
  size_t begin_ = 0;
};

// Letters of ASCII, Latin-1, Greek and Cyrillic change; others stay. The length in bytes never
// changes, so marks keep their places.
uint32_t to_upper(uint32_t code_point);
uint32_t to_lower(uint32_t code_point);

}  // namespace potluck
