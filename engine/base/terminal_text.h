// Text from outside (files, peers, users, models) as a terminal may get it: nothing in it moves the
// cursor, changes colors or titles, or shows characters in another order than they stand. What
// would is written as \xNN (bytes) or \uNNNN (characters), which people can read. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace potluck {

// Characters that a terminal obeys instead of showing them: C0 and C1 controls and DEL, separators
// of lines and paragraphs, and what overrides the direction of writing.
bool is_terminal_control(uint32_t code_point);

// A message of one line: newlines and tabs are controls like the others, so that no name can fake a
// line of its own. Bytes that are not UTF-8 become \xNN.
std::string terminal_line(std::string_view text);

// Text that comes in pieces, such as a model's: newlines and tabs stay, a carriage return in front
// of a newline is dropped. Characters may be cut anywhere between pieces.
class TerminalText {
 public:
  std::string push(std::string_view piece);
  std::string finish();  // what was held back: the beginning of something that never came

 private:
  std::string pending_;
};

}  // namespace potluck
