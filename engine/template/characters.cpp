// Characters as Python's str sees them, since templates were written for Jinja2 and models were
// trained on what it wrote.
#include "engine/template/characters.h"

#include <algorithm>
#include <utility>

#include "engine/base/utf8.h"

namespace potluck {
namespace {

bool is_between(uint32_t value, uint32_t first, uint32_t last) {
  return value >= first && value <= last;
}

// The line ends of str.splitlines(), which are more than those of files.
bool ends_line(uint32_t c) {
  return is_between(c, 0x0A, 0x0D) || is_between(c, 0x1C, 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

bool is_space(uint32_t c) {
  return is_between(c, 0x09, 0x0D) || is_between(c, 0x1C, 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || is_between(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(uint32_t c) {
  if (c == ' ') return true;
  return !is_space(c) && c >= 0x20 && !is_between(c, 0x7F, 0xA0) && c != 0xAD &&
         !is_between(c, 0x600, 0x605) && c != 0x61C && !is_between(c, 0x200B, 0x200F) &&
         !is_between(c, 0x202A, 0x202E) && !is_between(c, 0x2060, 0x206F) &&
         !is_between(c, 0xE000, 0xF8FF) && c != 0xFEFF && !is_between(c, 0xFFF0, 0xFFFB) &&
         (c & 0xFFFE) != 0xFFFE && c < 0xE0000;
}

std::string_view strip_left(std::string_view text) {
  while (!text.empty() && is_space(decode_utf8(text))) text.remove_prefix(utf8_length(text[0]));
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    if (!is_space(decode_utf8(text.substr(begin)))) break;
    text = text.substr(0, begin);
  }
  return text;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

size_t character_offset(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += utf8_length(text[at]);
  return at;
}

std::optional<ByteRange> Lines::next() {
  if (begin_ >= text_.size()) return std::nullopt;
  for (size_t at = begin_; at < text_.size();) {
    const uint32_t c = decode_utf8(text_.substr(at));
    size_t after = at + utf8_length(text_[at]);
    if (ends_line(c)) {
      if (c == '\r' && after < text_.size() && text_[after] == '\n') ++after;
      return ByteRange{std::exchange(begin_, after), at};
    }
    at = after;
  }
  return ByteRange{std::exchange(begin_, text_.size()), text_.size()};
}

// Distance from the small letter to the capital one, for scripts in which it is the same for many
// and both take the same number of bytes. Left out within the runs: the signs of multiplication and
// division, and the final sigma, whose capital would be U+03A2, which does not exist.
uint32_t to_upper(uint32_t c) {
  if (is_between(c, 'a', 'z')) return c - 32;
  if (is_between(c, 0xE0, 0xFE) && c != 0xF7) return c - 32;     // Latin-1
  if (is_between(c, 0x3B1, 0x3C9) && c != 0x3C2) return c - 32;  // Greek
  if (is_between(c, 0x430, 0x44F)) return c - 32;                // Cyrillic
  if (is_between(c, 0x450, 0x45F)) return c - 80;
  return c;
}

uint32_t to_lower(uint32_t c) {
  if (is_between(c, 'A', 'Z')) return c + 32;
  if (is_between(c, 0xC0, 0xDE) && c != 0xD7) return c + 32;
  if (is_between(c, 0x391, 0x3A9) && c != 0x3A2) return c + 32;
  if (is_between(c, 0x410, 0x42F)) return c + 32;
  if (is_between(c, 0x400, 0x40F)) return c + 80;
  return c;
}

}  // namespace potluck
