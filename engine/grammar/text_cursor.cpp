#include "engine/grammar/text_cursor.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/base/utf8.h"

namespace potluck {

bool TextCursor::take(std::string_view text) {
  if (!starts_with(text)) return false;
  position_ += text.size();
  return true;
}

uint32_t TextCursor::take_character() {
  const size_t bytes = utf8_length(text_[position_]);
  const uint32_t code = decode_utf8(text_.substr(position_, bytes));
  position_ += bytes;
  return code;
}

std::optional<uint32_t> TextCursor::take_hex(size_t digits) {
  uint32_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char digit = peek(i);
    uint32_t number = 0;
    if (digit >= '0' && digit <= '9') {
      number = static_cast<uint32_t>(digit - '0');
    } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
      number = static_cast<uint32_t>((digit | 0x20) - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + number;
  }
  skip(digits);
  return value;
}

std::optional<uint32_t> TextCursor::take_number(uint32_t most) {
  if (peek() < '0' || peek() > '9') return std::nullopt;
  uint64_t value = 0;
  for (; peek() >= '0' && peek() <= '9'; skip()) {
    value =
        std::min<uint64_t>(value * 10 + static_cast<uint64_t>(peek() - '0'), uint64_t{most} + 1);
  }
  return static_cast<uint32_t>(value);
}

Error TextCursor::expected(std::string_view what) const {
  const std::string_view rest = text_.substr(std::min(position_, text_.size()));
  std::string found = "the end";
  if (!rest.empty()) {
    found = fmt::format("'{}'", printable(rest.substr(0, utf8_length(rest.front()))));
  }
  return error(fmt::format("expected {}, found {}", what, found));
}

Error TextCursor::error(std::string_view message) const {
  const std::string_view before = text_.substr(0, std::min(position_, text_.size()));
  const auto line = std::ranges::count(before, '\n') + 1;
  const size_t last = before.rfind('\n');
  const size_t column = before.size() - (last == std::string_view::npos ? 0 : last + 1) + 1;
  return {ErrorCode::kInvalidArgument,
          fmt::format("line {}, column {}: {}", line, column, message)};
}

}  // namespace potluck
