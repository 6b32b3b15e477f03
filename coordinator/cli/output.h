// Output: standard output, which carries the result of a command and nothing else. Every command
// writes through it. It knows when writing fails: from then on it drops what comes, and main() ends
// the program with an error, or, where the reader of a pipe has gone, without a word. One thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/terminal_text.h"

namespace potluck {

class Output {
 public:
  // `descriptor` stays open and is the caller's; `is_terminal` decides how a model's text is shown.
  Output(int descriptor, bool is_terminal) : descriptor_(descriptor), is_terminal_(is_terminal) {}

  // A line of a report; texts from outside in it are made harmless (terminal_line).
  void line(std::string_view text);
  // A whole report on one line.
  void json(const nlohmann::json& report);
  // Text of the program's own with line ends, such as help.
  void page(std::string_view text);

  // A piece of a model's text, written at once. It stays as it is, to the byte, except on a
  // terminal: there control characters other than newline and tab are shown instead of obeyed
  // (TerminalText). False once writing has failed: there is no point in generating more.
  bool text(std::string_view piece);
  // Ends what text() has begun.
  void end_text();

  bool is_terminal() const { return is_terminal_; }
  bool works() const { return error_ == 0; }
  // The other end of a pipe is closed: time to end quietly, as filters do.
  bool reader_gone() const;
  // After the last piece: whether everything has been written. Some file systems say only now that
  // they have no room.
  Status finish();

 private:
  bool write(std::string_view bytes);

  int descriptor_;
  bool is_terminal_;
  int error_ = 0;  // errno of the first write that failed
  TerminalText shown_;
};

}  // namespace potluck
