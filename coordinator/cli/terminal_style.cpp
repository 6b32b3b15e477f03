#include "coordinator/cli/terminal_style.h"

#include <algorithm>
#include <cstdlib>

namespace potluck {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The first of these that is set counts (locale(7)); what follows the dot is the encoding, which
// people write in several ways.
bool says_utf8(const TerminalVariables& variables) {
  std::string locale = variables.lc_all;
  if (locale.empty()) locale = variables.lc_ctype;
  if (locale.empty()) locale = variables.lang;
  std::ranges::transform(locale, locale.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c);
  });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

}  // namespace

TerminalStyle terminal_style(const TerminalVariables& variables, bool is_terminal) {
  TerminalStyle style;
  style.draws = is_terminal && !variables.term.empty() && variables.term != "dumb";
  style.colors = style.draws && variables.no_color.empty();
  style.utf8 = says_utf8(variables);
  return style;
}

TerminalStyle own_terminal_style(bool is_terminal) {
  return terminal_style({variable("TERM"), variable("NO_COLOR"), variable("LC_ALL"),
                         variable("LC_CTYPE"), variable("LANG")},
                        is_terminal);
}

}  // namespace potluck
