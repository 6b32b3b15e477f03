// What a person at a terminal may ask of the program instead of the model: lines that begin with a
// slash. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace potluck {

enum class ChatVerb : uint8_t {
  kHelp,
  kNew,
  kExit,
  kSystem,
  kRegenerate,
  kUndo,
  kSave,
  kLoad,
  kSet,
  kStats,
  kUnknown,
};

struct ChatCommand {
  ChatVerb verb = ChatVerb::kUnknown;
  std::string name;      // as it was typed, with the slash
  std::string argument;  // what follows, without the spaces around it
};

struct ChatCommandHelp {
  ChatVerb verb;
  std::string_view name;
  std::string_view other_names;  // separated by spaces
  std::string_view argument;
  std::string_view help;
};

std::span<const ChatCommandHelp> chat_commands();

// Nothing where the message is for the model: it does not begin with a slash and a letter, or its
// first word is a path (/usr/bin). A space in front makes a message of anything.
std::optional<ChatCommand> parse_chat_command(std::string_view message);

// What to say of an unknown one.
std::string unknown_command(const std::string& name);
// All of them, a line each.
std::string chat_help();

}  // namespace potluck
