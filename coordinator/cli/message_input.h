// MessageInput: where a person's messages come from, one after the other. At a terminal they are
// typed into a line editor; elsewhere each line is one. Waiting does not stop the rest of the
// program: it is called again and again meanwhile. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/cli/input_history.h"
#include "coordinator/cli/terminal.h"
#include "engine/base/result.h"

namespace potluck {

// Called at least every 100 ms while an input waits; false ends the wait.
using WhileWaiting = std::function<bool()>;

class MessageInput {
 public:
  virtual ~MessageInput() = default;

  // The next message, asked for with `prompt`. Nothing at the end of the input, or when the wait
  // was ended. An error is about this one message (not UTF-8, too long): the next may be good.
  virtual Result<std::optional<std::string>> next(const std::string& prompt,
                                                  const WhileWaiting& while_waiting) = 0;

  // A whole message, of one line or several, that may be wanted again: for the arrow keys, and for
  // later runs.
  virtual void remember(const std::string& /*message*/) {}
};

// Standard input. The line editor needs a terminal to read from and one, standard error, to show
// what is typed. `history`: what earlier runs kept, and where to keep more; null: in memory alone.
// It must outlive the input.
std::unique_ptr<MessageInput> standard_input(Terminal& terminal, InputHistory* history = nullptr);

}  // namespace potluck
