// StyledLine: one line of a terminal, put together from pieces with colors, never wider than it may
// be. All text goes through it: what comes from outside is made harmless here (terminal_line), and
// in a locale of ASCII what it cannot show becomes "?". Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coordinator/cli/terminal_style.h"

namespace potluck {

enum class Ink : uint8_t { kPlain, kBold, kDim, kGood, kBusy, kBad };
enum class Align : uint8_t { kLeft, kRight };

// How many columns a text takes that has no control characters; wide characters take two.
size_t display_width(std::string_view text);

class StyledLine {
 public:
  StyledLine(size_t width, const TerminalStyle& style) : width_(width), style_(style) {}

  // Cut off where the line ends.
  StyledLine& add(std::string_view text, Ink ink = Ink::kPlain);
  // In just so many columns: filled with spaces, or cut, which shows.
  StyledLine& add_column(std::string_view text, size_t columns, Align align = Align::kLeft,
                         Ink ink = Ink::kPlain);
  // In the color of a device, by its number; `filled`: as a block of that color.
  StyledLine& add_device(std::string_view text, uint32_t number, bool filled);
  StyledLine& add_own(std::string_view text, bool filled);

  size_t columns() const { return used_; }
  size_t room() const { return width_ - used_; }
  // With all colors ended.
  std::string take();

 private:
  void append(std::string_view text, const std::string& attributes);

  size_t width_;
  TerminalStyle style_;
  size_t used_ = 0;
  std::string attributes_;  // of what was written last
  std::string text_;
};

}  // namespace potluck
