// The flags of `run` that are about chatting, and what becomes of them. Plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/commands.h"
#include "engine/chat/chat_template.h"
#include "engine/gguf/gguf.h"

namespace potluck {

struct ChatFlags {
  bool raw = false;
  std::optional<std::string> system;
  std::string template_file;
  std::vector<std::string> arguments;  // KEY=JSON
  std::string tools_file;
  std::string tool_command;
};

void add_chat_flags(CLI::App* parser, ChatFlags* flags);

// Flags that contradict each other, and arguments that are no JSON.
Status check_chat_flags(const ChatFlags& flags);

// The template of a model file, if it has one.
std::optional<Result<ChatTemplate>> model_chat_template(const GgufMetadata& metadata);

// The template to chat with: from --chat-template-file, else the model's own; nothing for plain
// completion. The error says what can be done.
Result<std::optional<ChatTemplate>> choose_chat_template(const ChatFlags& flags,
                                                         const GgufMetadata& metadata,
                                                         Storage& storage);

// The system message and the template's arguments; the flags must have been checked.
Conversation begin_conversation(const ChatFlags& flags);

// The error of a template, with the ways around it.
Error with_way_out(const Error& error);

// Wall clock time in the user's zone, as seconds since 1970.
int64_t local_seconds(const Clock& clock);

}  // namespace potluck
