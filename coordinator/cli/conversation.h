// A conversation: message after message is answered, until the input ends. What begins with a slash
// is for the program (chat_command.h). One thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "coordinator/cli/answerer.h"
#include "coordinator/cli/chat_command.h"
#include "coordinator/cli/message_input.h"

namespace potluck {

struct ConversationOptions {
  GenerationRequest request;
  std::string prompt;  // what a person is asked with; "" for none
  bool quiet = false;  // no reasoning
  // A person types: several lines may be one message (MessageBuilder), and Ctrl-C at an empty line
  // ends the conversation the second time only.
  bool typed = false;
  std::string model;  // its name, for files
  // For figures of the answers; may be empty.
  std::function<ExpertCounters()> counters;
  // What else has to be done while a message is awaited.
  std::function<void()> meanwhile;
  // Messages that are for the program and not for the model.
  std::map<std::string, std::function<void()>> commands;
  // Takes further ones, and says whether this was one.
  std::function<bool(const std::string& message)> other_command;
};

// Ends when the input does, or when Ctrl-C or SIGTERM comes while nothing is being answered (see
// `typed`). A message that cannot be answered costs the conversation nothing: the error is shown.
void converse(Answerer& answerer, MessageInput& input, const ConversationOptions& options,
              const Environment& environment, Terminal& terminal);

}  // namespace potluck
