#include "coordinator/cli/styled_line.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <locale.h>
#include <wchar.h>

#include "engine/base/terminal_text.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

constexpr std::string_view kEndOfColor = "\x1b[0m";
// Those of the dashboard (web/palette.js) in the 256 colors that terminals have had for decades.
constexpr std::array<int, 8> kDeviceColors{25, 178, 36, 175, 74, 166, 142, 104};
constexpr int kOwnColor = 245;

std::string attributes_of(Ink ink) {
  switch (ink) {
    case Ink::kBold:
      return "1";
    case Ink::kDim:
      return "2";
    case Ink::kGood:
      return "32";
    case Ink::kBusy:
      return "33";
    case Ink::kBad:
      return "31";
    case Ink::kPlain:
      break;
  }
  return "";
}

std::string color(int number, bool filled) {
  return fmt::format("{}38;5;{}", filled ? "7;" : "", number);
}

// wcwidth() follows the locale of the calling thread. C.UTF-8 is part of the C library.
class Utf8Characters {
 public:
  Utf8Characters() : before_(uselocale(locale())) {}
  ~Utf8Characters() { uselocale(before_); }
  Utf8Characters(const Utf8Characters&) = delete;
  Utf8Characters& operator=(const Utf8Characters&) = delete;

  size_t width(uint32_t code_point) const {
    const int columns = ::wcwidth(static_cast<wchar_t>(code_point));
    // Not known to the library: newer than it, so most likely a picture of one or two columns.
    return columns < 0 ? 1 : static_cast<size_t>(columns);
  }

 private:
  static locale_t locale() {
    static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8;
  }
  locale_t before_;
};

// Harmless, and in the characters that the terminal has.
std::string shown(std::string_view text, bool utf8) {
  std::string harmless = terminal_line(text);
  if (utf8) return harmless;
  std::string ascii;
  for (std::string_view rest = harmless; !rest.empty();) {
    const size_t bytes = utf8_length(rest.front());
    ascii += bytes == 1 ? rest.front() : '?';
    rest.remove_prefix(std::min(bytes, rest.size()));
  }
  return ascii;
}

// As much of the beginning as fits; returns how many columns it takes.
size_t cut(std::string* text, size_t columns) {
  const Utf8Characters characters;
  size_t used = 0;
  size_t end = 0;
  while (end < text->size()) {
    const std::string_view rest = std::string_view(*text).substr(end);
    const size_t width = characters.width(decode_utf8(rest));
    if (used + width > columns) break;
    used += width;
    end += utf8_length(rest.front());
  }
  text->resize(end);
  return used;
}

}  // namespace

size_t display_width(std::string_view text) {
  std::string copy(text);
  return cut(&copy, SIZE_MAX);
}

void StyledLine::append(std::string_view text, const std::string& attributes) {
  std::string piece(text);
  used_ += cut(&piece, room());
  if (piece.empty()) return;
  if (style_.colors && attributes != attributes_) {
    if (!attributes_.empty()) text_ += kEndOfColor;
    if (!attributes.empty()) text_ += fmt::format("\x1b[{}m", attributes);
    attributes_ = attributes;
  }
  text_ += piece;
}

StyledLine& StyledLine::add(std::string_view text, Ink ink) {
  append(shown(text, style_.utf8), attributes_of(ink));
  return *this;
}

StyledLine& StyledLine::add_column(std::string_view text, size_t columns, Align align, Ink ink) {
  std::string piece = shown(text, style_.utf8);
  size_t taken = display_width(piece);
  if (taken > columns) {
    taken = columns > 0 ? cut(&piece, columns - 1) + 1 : cut(&piece, 0);
    if (columns > 0) piece += style_.utf8 ? "…" : "~";
  }
  const std::string space(columns - taken, ' ');
  if (align == Align::kRight) append(space, "");
  append(piece, attributes_of(ink));
  if (align == Align::kLeft) append(space, "");
  return *this;
}

StyledLine& StyledLine::add_device(std::string_view text, uint32_t number, bool filled) {
  const size_t index = number == 0 ? 0 : (number - 1) % kDeviceColors.size();
  append(shown(text, style_.utf8), color(kDeviceColors[index], filled));
  return *this;
}

StyledLine& StyledLine::add_own(std::string_view text, bool filled) {
  append(shown(text, style_.utf8), color(kOwnColor, filled));
  return *this;
}

std::string StyledLine::take() {
  if (!attributes_.empty()) text_ += kEndOfColor;
  attributes_.clear();
  used_ = 0;
  // Spaces at the end show nothing.
  while (text_.ends_with(' ')) text_.pop_back();
  return std::exchange(text_, {});
}

}  // namespace potluck
