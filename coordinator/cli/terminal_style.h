// What a terminal can show, by what the environment says of it: NO_COLOR (no-color.org), TERM and
// the locale. Plain values; pure, except own_terminal_style().
#pragma once

#include <string>

namespace potluck {

struct TerminalVariables {
  std::string term;
  std::string no_color;
  std::string lc_all;
  std::string lc_ctype;
  std::string lang;
};

struct TerminalStyle {
  bool draws = false;   // the cursor can be moved, and what was written be erased
  bool colors = false;  // and other attributes, such as bold
  bool utf8 = false;    // its locale has more than ASCII: block characters can be shown
};

TerminalStyle terminal_style(const TerminalVariables& variables, bool is_terminal);

// By the environment of this process.
TerminalStyle own_terminal_style(bool is_terminal);

}  // namespace potluck
