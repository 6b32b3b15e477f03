// A conversation: message after message is answered, until the input ends. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "coordinator/cli/answerer.h"
#include "coordinator/cli/message_input.h"

namespace potluck {

struct ConversationOptions {
  GenerationRequest request;
  std::string prompt;  // what a person is asked with; "" for none
  bool quiet = false;  // no reasoning
  // What else has to be done while a message is awaited.
  std::function<void()> meanwhile;
  // Messages that are for the program and not for the model.
  std::map<std::string, std::function<void()>> commands;
  // Takes further ones, and says whether this was one.
  std::function<bool(const std::string& message)> other_command;
};

// Ends when the input does, or when Ctrl-C or SIGTERM comes while nothing is being answered. A
// message that cannot be answered costs the conversation nothing: the error is shown.
void converse(Answerer& answerer, MessageInput& input, const ConversationOptions& options,
              const Environment& environment, Terminal& terminal);

}  // namespace potluck
