#include "coordinator/cli/message_input.h"

#include <unistd.h>

#include "coordinator/cli/line_editor.h"
#include "coordinator/cli/line_reader.h"

namespace potluck {

std::unique_ptr<MessageInput> standard_input(Terminal& terminal, InputHistory* history) {
  const bool typed = isatty(STDIN_FILENO) == 1;
  if (typed && isatty(STDERR_FILENO) == 1) {
    if (auto editor = LineEditor::open(terminal, history)) return editor;
  }
  return std::make_unique<LineReader>(STDIN_FILENO, typed, terminal);
}

}  // namespace potluck
