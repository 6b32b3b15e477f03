// TextCursor: reads a grammar or a pattern character by character, and knows where it is when
// something is wrong. A plain value; the text must be UTF-8 and outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace potluck {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

  bool at_end() const { return position_ >= text_.size(); }
  // The next byte, or 0 at the end.
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool starts_with(std::string_view text) const {
    return text_.substr(position_).starts_with(text);
  }
  bool take(std::string_view text);
  void skip(size_t bytes = 1) { position_ += bytes; }
  // Not at the end.
  uint32_t take_character();
  // So many hexadecimal digits, or nothing.
  std::optional<uint32_t> take_hex(size_t digits);
  // Decimal digits; nothing if there are none. Numbers above `most` are `most` + 1.
  std::optional<uint32_t> take_number(uint32_t most);
  std::string_view since(size_t begin) const { return text_.substr(begin, position_ - begin); }
  size_t position() const { return position_; }

  // "line 2, column 7: expected .., found .."
  Error expected(std::string_view what) const;
  Error error(std::string_view message) const;

 private:
  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace potluck
